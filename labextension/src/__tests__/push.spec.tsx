import type { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { appWidget } from '../components/context';
import { inRun } from '../run/context';
import { PushForm } from '../run/push';
import type { RunModel } from '../state/run';
import { Store } from '../state/store';
import { ENGLISH, eventually, FakeServer } from './fake';

const PLAN = {
  hub: 'modelscope',
  repo_id: 'me/first',
  page: 'https://hub/me/first',
  private: true,
  files: [{ path: 'adapter_model.safetensors', size: 4 }],
  size: 4,
  left: [],
  exists: false,
  exists_private: null,
  present: [],
  problem: null
};

describe('the form that publishes', () => {
  let server: FakeServer;
  let store: Store;
  let form: ReactWidget;

  const field = <T extends HTMLElement>(selector: string) => form.node.querySelector<T>(selector)!;
  const buttons = () => [...form.node.querySelectorAll('button')].map(button => button.textContent);

  beforeEach(async () => {
    server = new FakeServer();
    store = new Store({ client: server.client, events: null, intervalMs: 100_000 });
    const app = { ...ENGLISH, store, commands: new CommandRegistry() };
    const run = { jobId: 'j' } as RunModel;
    form = appWidget(app, inRun(run, <PushForm run="j" onClose={() => undefined} />));
    Widget.attach(form, document.body);
    await eventually(() => expect(buttons()).toContain('Show what would be uploaded'));
    // React hears of a value only where it was not set by its own property.
    const input = field<HTMLInputElement>('input:not([type])');
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, 'me/first');
    input.dispatchEvent(new Event('input', { bubbles: true }));
    await eventually(() => expect(field<HTMLButtonElement>('button[type=submit]').disabled).toBe(false));
  });

  afterEach(() => {
    form.dispose();
    store.dispose();
  });

  const ask = () => field('form').dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));

  it('shows what would be uploaded before it can be', async () => {
    server.reply('POST runs/push', PLAN);
    ask();
    await eventually(() => expect(buttons()).toContain('Upload…'));
  });

  it('takes no plan for what was changed while it was asked for', async () => {
    const release = server.hold('POST runs/push');
    ask();
    await eventually(() => expect(field('button[type=submit]').ariaBusy ?? 'true').toBe('true'));
    field('input[type=checkbox]').click();
    await eventually(() => expect(field<HTMLInputElement>('input[type=checkbox]').checked).toBe(true));
    release(PLAN);
    await eventually(() => expect(server.asked).toEqual(['POST runs/push']));
    await new Promise(resolve => setTimeout(resolve)); // until the answer has been read
    expect(buttons()).not.toContain('Upload…');
    server.reply('POST runs/push', { ...PLAN, private: false });
    ask();
    await eventually(() => expect(form.node.textContent).toContain('everybody'));
  });
});
