/** Parts of the panel that wait for the server while somebody goes on. */

import type { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { parseModels } from '../api/answers';
import { appWidget } from '../components/context';
import { Details } from '../panel/details';
import { OtherModel } from '../panel/other';
import { Store } from '../state/store';
import { ENGLISH, eventually, FakeServer } from './fake';

const COPY = { model_name: 'o/a', slug: 'o_a', size: 5, commit: 'c1', owner: 'qwen3ft' };
const NAMED = { model_name: 'o/a', revision: '' };

let server: FakeServer;
let store: Store;
let widget: ReactWidget;

function show(children: React.ReactElement): void {
  widget = appWidget({ ...ENGLISH, store, commands: new CommandRegistry() }, children);
  Widget.attach(widget, document.body);
}

function button(name: string): HTMLButtonElement {
  return widget.node.querySelector<HTMLButtonElement>(`button[aria-label="${name}"]`)!;
}

beforeEach(() => {
  server = new FakeServer();
  server.replyAll({ cached: [COPY] });
  store = new Store({ client: server.client, events: null, intervalMs: 1e6 });
  store.showLists(() => false);
});

afterEach(() => {
  widget.dispose();
  store.dispose();
});

describe('the field for another model', () => {
  const field = () => widget.node.querySelector('input')!;
  const type = (words: string): void => {
    // React hears of a value only where it was not set by its own property.
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(field(), words);
    field().dispatchEvent(new Event('input', { bubbles: true }));
  };
  const submit = () =>
    widget.node
      .querySelector('form')!
      .dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));

  beforeEach(async () => {
    show(<OtherModel />);
    await eventually(() => expect(field()).not.toBeNull());
    type('o/a');
    await eventually(() => expect(field().value).toBe('o/a'));
  });

  it('is empty once the download has begun', async () => {
    server.reply('GET models/name', NAMED);
    server.reply('POST models/download', { job_id: 'd', id: 'd' }, 202);
    submit();
    await eventually(() => expect(field().value).toBe(''));
  });

  it('keeps what is typed while a download is begun', async () => {
    server.reply('GET models/name', NAMED);
    const release = server.hold('POST models/download');
    submit();
    await eventually(() => expect(store.actions.isPending('o/a')).toBe(true));
    type('o/b');
    release({ job_id: 'd', id: 'd' });
    await eventually(() => expect(store.actions.isPending('o/a')).toBe(false));
    await new Promise(resolve => setTimeout(resolve)); // until the answer has been heeded
    expect(field().value).toBe('o/b');
  });

  it('says nothing of what is no longer in it', async () => {
    const release = server.hold('GET models/name');
    submit();
    type('o/b');
    release({}); // which cannot be read
    await eventually(() => expect(server.asked).toContain('GET models/name'));
    await new Promise(resolve => setTimeout(resolve)); // until the answer has been heeded
    expect(widget.node.querySelector('[role=alert]')?.textContent).toBe('');
    expect(field().getAttribute('aria-invalid')).toBeNull();
  });
});

describe('the details of a copy', () => {
  const entry = () => parseModels({ models: [{ model_name: 'o/a', cached: true }] })[0];
  const details = (path: string) => ({ model_name: 'o/a', cached: true, files: [{ path, size: 1 }] });
  const card = (text: string) => ({ model_name: 'o/a', text, license: '', hub: '' });

  it('have the rates that a download has measured since', async () => {
    const rate = { name: 'ModelScope', bytes: 7e9, seconds: 70, rate: 1e8, ended: 1 };
    server.reply('GET models/details', { ...details('a.json'), sources: [] });
    await store.refresh();
    show(<Details entry={entry()} />);
    await eventually(() => expect(widget.node.textContent).toContain('a.json'));
    expect(widget.node.textContent).not.toContain('100 MB/s');
    server.reply('GET models/details', { ...details('a.json'), sources: [rate] });
    server.replyAll({ cached: [COPY], jobs: [{ id: 'd', kind: 'download', state: 'succeeded', ended: 9 }] });
    await store.refresh();
    await eventually(() => expect(widget.node.textContent).toContain('100 MB/s'));
  });

  it('are read anew once an update has another commit', async () => {
    server.reply('GET models/details', details('old.json'));
    server.reply('GET models/card', card('Old.'));
    await store.refresh();
    show(<Details entry={entry()} />);
    await eventually(() => expect(widget.node.textContent).toContain('old.json'));
    button('Model card of o/a').click();
    await eventually(() => expect(widget.node.textContent).toContain('Old.'));
    server.reply('GET models/details', details('new.json'));
    server.reply('GET models/card', card('New.'));
    server.replyAll({ cached: [{ ...COPY, commit: 'c2' }] });
    await store.refresh();
    await eventually(() => expect(widget.node.textContent).toContain('new.json'));
    await eventually(() => expect(widget.node.textContent).toContain('New.'));
    expect(widget.node.textContent).not.toMatch(/Old\.|old\.json/);
  });
});
