/** What the panel says to somebody who has never used it. */

import type { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { appWidget } from '../components/context';
import { CommandIDs } from '../domain/commands';
import { FirstSteps } from '../panel/firststeps';
import { Store } from '../state/store';
import { ENGLISH, eventually, FakeServer } from './fake';

const THEIRS = { model_name: 'o/a', slug: 'huggingface:o_a', owner: 'huggingface' };
const OURS = { model_name: 'o/a', slug: 'o_a', owner: 'qwen3ft' };
const PRACTICE = { model_name: 'qwen3ft/Qwen3-Practice', slug: 'p', owner: 'qwen3ft' };
const JOB = { id: 'j', kind: 'download', state: 'running', params: { model_name: 'o/a' } };
const TUNING = { id: 't', kind: 'finetune', state: 'failed', params: {} };

let server: FakeServer;
let store: Store;
let widget: ReactWidget;
let ends: number;

beforeEach(() => {
  server = new FakeServer();
  store = new Store({ client: server.client, events: null, intervalMs: 1e6 });
  store.showLists(() => false);
  ends = 0;
  const commands = new CommandRegistry();
  commands.addCommand(CommandIDs.openFineTune, { describedBy: { args: null }, execute: () => undefined });
  widget = appWidget({ ...ENGLISH, store, commands }, <FirstSteps />);
  Widget.attach(widget, document.body);
});

afterEach(() => {
  widget.dispose();
  store.dispose();
});

const hint = () => widget.node.querySelector('[role=note]');
const tuneButton = () =>
  hint()?.querySelector('.jp-Qwen3ft-actions button')?.getAttribute('aria-label') ?? '';

function follow(isWanted: boolean): void {
  store.actions.firstSteps.follow(isWanted, async () => void (ends += 1));
}

async function look(answers: Parameters<FakeServer['replyAll']>[0] = {}): Promise<void> {
  server.replyAll(answers);
  await store.refresh();
}

describe('the first steps', () => {
  it('are told while nothing is here and nothing ran; what other tools have is not ours', async () => {
    follow(true);
    expect(hint()).toBeNull();
    await look({ cached: [THEIRS] });
    await eventually(() => expect(hint()?.textContent).toContain('First steps'));
    expect(ends).toBe(0);
  });

  it('are over once they are closed, which is written down', async () => {
    follow(true);
    await look();
    await eventually(() => expect(hint()).not.toBeNull());
    widget.node.querySelector<HTMLButtonElement>('button[aria-label="Dismiss"]')!.click();
    await eventually(() => expect(hint()).toBeNull());
    expect(ends).toBe(1);
  });

  it('lead on to a fine-tune once a model is here, rather not of the one for practice', async () => {
    follow(true);
    await look({ jobs: [JOB] });
    await eventually(() => expect(hint()?.textContent).toContain('First steps'));
    await look({ cached: [PRACTICE], jobs: [JOB] });
    await eventually(() => expect(hint()?.textContent).toContain('Next step'));
    expect(tuneButton()).toContain('Fine-tune qwen3ft/Qwen3-Practice');
    await look({ cached: [THEIRS, PRACTICE, OURS] });
    await eventually(() => expect(tuneButton()).toContain('Fine-tune o/a'));
    expect(ends).toBe(0);
    widget.node.querySelector<HTMLButtonElement>('button[aria-label="Dismiss"]')!.click();
    await eventually(() => expect(hint()).toBeNull());
    expect(ends).toBe(1);
  });

  it('are not told to somebody whose models have gone elsewhere', async () => {
    follow(true);
    await look();
    await eventually(() => expect(hint()).not.toBeNull());
    await look({ jobs: [{ id: 'm', kind: 'move', state: 'succeeded', params: {} }] });
    await eventually(() => expect(hint()).toBeNull());
    expect(ends).toBe(0);
  });

  it('are over with the first fine-tune, also when that is forgotten', async () => {
    follow(true);
    await look({ cached: [OURS], jobs: [TUNING] });
    await eventually(() => expect(ends).toBe(1));
    await look({ cached: [OURS] });
    expect(store.actions.firstSteps.isWanted).toBe(false);
    expect(hint()).toBeNull();
  });

  it('are not told where their end cannot be remembered, nor where it is', async () => {
    await look();
    expect(hint()).toBeNull();
    follow(false);
    await look();
    expect(hint()).toBeNull();
    expect(ends).toBe(0);
  });
});
