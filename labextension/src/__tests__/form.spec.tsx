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

  beforeEach(async () => {
    server = new FakeServer();
    server.replyAll({ models: [{ model_name: 'o/a', cached: false }] });
    server.reply('GET finetune/schema', SCHEMA);
    server.reply('POST finetune/check', CHECKED);
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
