/** The form as it is drawn: what is downloaded from within it. */

import type { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import { readFileSync } from 'fs';
import { join } from 'path';
import * as React from 'react';

import { FineTuneClient } from '../api/finetune';
import { appWidget } from '../components/context';
import { inDesk } from '../finetune/context';
import { newDraft } from '../finetune/draft';
import { Form } from '../finetune/form';
import { FineTuneModel } from '../finetune/model';
import { Store } from '../state/store';
import { ENGLISH, eventually, FakeServer } from './fake';

const SCHEMA = JSON.parse(readFileSync(join(__dirname, 'finetune.schema.json'), 'utf8'));
const CHECKED = { config: {}, problems: [], defaults: {}, yaml: '', absent: ['o/rows'] };
const REFUSAL = { code: 'disk-full', message: 'No room for it.', hint: '' };

describe('a form', () => {
  let server: FakeServer;
  let store: Store;
  let model: FineTuneModel;
  let form: ReactWidget;

  const button = (name: string) =>
    form.node.querySelector<HTMLButtonElement>(`button[aria-label^="${name}"]`);

  /** What was to be downloaded. */
  const downloaded = async (): Promise<unknown[]> => {
    const sent = server.requests.filter(({ url }) => url.includes('models/download'));
    return Promise.all(sent.map(async request => (await request.json()).model_name));
  };

  beforeEach(async () => {
    server = new FakeServer();
    server.replyAll({ models: [{ model_name: 'o/a', cached: false }] });
    server.reply('GET finetune/schema', SCHEMA);
    server.reply('POST finetune/check', CHECKED);
    server.reply('GET datasets/find', { name: 'hf:o/rows', size: 5 });
    store = new Store({ client: server.client, events: null, intervalMs: 1e6 });
    store.showLists(() => false);
    await store.refresh();
    const client = new FineTuneClient(server.server);
    model = new FineTuneModel({
      client,
      store,
      draft: newDraft('o/a', ['o/rows']),
      onDraft: () => undefined
    });
    model.load();
    const desk = { model, chooseFiles: null, insertCell: null, save: async () => undefined };
    const app = { ...ENGLISH, store, commands: new CommandRegistry() };
    form = appWidget(app, inDesk(desk, <Form />));
    Widget.attach(form, document.body);
    await eventually(() => expect(button('Download o/rows')).not.toBeNull());
  });

  afterEach(() => {
    form.dispose();
    model.dispose();
    store.dispose();
  });

  it.each(['Download o/rows', 'Download o/a'])('says by the button why it is refused to %s', async name => {
    server.reply('POST models/download', REFUSAL, 507);
    button(name)!.click();
    await eventually(() => expect(form.node.textContent).toContain('No room for it.'));
    const [alert] = form.node.querySelectorAll('[role=alert]');
    expect(alert.closest('[data-field]')).toBe(button(name)!.closest('[data-field]'));
  });

  it('asks which hub has data that is named without one, and fetches it from there', async () => {
    button('Download o/rows')!.click();
    await eventually(() => expect(server.asked).toContain('POST models/download'));
    expect(server.asked.indexOf('GET datasets/find')).toBeLessThan(
      server.asked.indexOf('POST models/download')
    );
    expect(await downloaded()).toEqual(['hf:o/rows']);
  });

  it('says by the button that no hub has the data, and fetches nothing', async () => {
    server.reply('GET datasets/find', { code: 'model-not-found', message: 'No hub has it.', hint: '' }, 404);
    button('Download o/rows')!.click();
    await eventually(() => expect(form.node.textContent).toContain('No hub has it.'));
    expect(form.node.querySelector('[role=alert]')?.closest('[data-field=data]')).not.toBeNull();
    expect(server.asked).not.toContain('POST models/download');
  });

  it('asks no hub about data that is named with its own', async () => {
    server.reply('POST finetune/check', { ...CHECKED, absent: ['ms:o/rows'] });
    model.load();
    await eventually(() => expect(button('Download ms:o/rows')).not.toBeNull());
    button('Download ms:o/rows')!.click();
    await eventually(() => expect(server.asked).toContain('POST models/download'));
    expect(await downloaded()).toEqual(['ms:o/rows']);
    expect(server.asked).not.toContain('GET datasets/find');
  });

  it('keeps the place of whoever fetched the last data that was not here', async () => {
    button('Download o/rows')!.focus();
    server.reply('POST finetune/check', { ...CHECKED, absent: [] });
    model.load();
    await eventually(() => expect(button('Download o/rows')).toBeNull());
    await eventually(() => expect(document.activeElement?.closest('[data-field=data]')).not.toBeNull());
    expect(document.activeElement?.tagName).toBe('INPUT');
  });

  it('keeps the place of whoever fetched the model', async () => {
    button('Download o/a')!.focus();
    server.replyAll({ models: [{ model_name: 'o/a', cached: true }] });
    await store.refresh();
    await eventually(() => expect(button('Download o/a')).toBeNull());
    await eventually(() => expect(document.activeElement?.getAttribute('list')).toMatch(/-models$/));
  });
});
