/** The form as it is filled in: what is asked, what is told, and that an old answer never stands for a new one. */

import { readFileSync } from 'fs';
import { join } from 'path';

import { FineTuneClient } from '../api/finetune';
import { absentOf } from '../finetune/absent';
import type { IDraft } from '../finetune/draft';
import { newDraft } from '../finetune/draft';
import { Latest } from '../finetune/latest';
import { FineTuneModel } from '../finetune/model';
import { shownFields } from '../finetune/needed';
import { Store } from '../state/store';
import { eventually, FakeServer } from './fake';

const SCHEMA = JSON.parse(readFileSync(join(__dirname, 'finetune.schema.json'), 'utf8'));
const RIGHT = { config: {}, problems: [], defaults: { epochs: 1 }, yaml: 'model: a/b\n' };
const WRONG = {
  ...RIGHT,
  problems: [
    { fields: ['data'], message: 'data: missing (a file)' },
    { fields: ['epochs'], message: "epochs: 'x' is not a number" }
  ]
};
const plan = (model: string) => ({
  model,
  fits: 'yes',
  tokens: {},
  data: {},
  steps: { total: 1 },
  memory: null
});
const PREVIEW = { rows: 1, conversations: 1, first: [], lengths: [] };
const JOB = { id: 'finetune-1', kind: 'finetune', title: 'Fine-tune a/b', state: 'running' };

interface IMade {
  readonly server: FakeServer;
  readonly model: FineTuneModel;
  readonly kept: IDraft[];
}

const made: FineTuneModel[] = [];
const stores: Store[] = [];

function make(draft = newDraft('a/b', ['a.jsonl'])): IMade {
  const server = new FakeServer();
  server.replyAll({ models: [{ model_name: 'a/b', cached: true }] });
  server.reply('GET finetune/schema', SCHEMA);
  server.reply('POST finetune/check', RIGHT);
  server.reply('POST finetune/plan', plan('a/b'));
  server.reply('POST finetune/preview', PREVIEW);
  const store = new Store({ client: server.client, events: null, intervalMs: 1e6 });
  const kept: IDraft[] = [];
  const client = new FineTuneClient(server.server);
  const model = new FineTuneModel({ client, store, draft, onDraft: each => kept.push(each) });
  made.push(model);
  stores.push(store);
  return { server, model, kept };
}

async function bodies(server: FakeServer, route: string): Promise<ReadonlyArray<unknown>> {
  const [method, path] = route.split(' ');
  const found = server.requests.filter(each => each.method === method && each.url.includes(path));
  return Promise.all(found.map(each => each.clone().json()));
}

afterEach(() => {
  made.splice(0).forEach(each => each.dispose());
  stores.splice(0).forEach(each => each.dispose());
});

describe('a form', () => {
  it('is checked, then estimated, then its data is shown; each with the config', async () => {
    const { server, model } = make();
    model.load();
    await eventually(() => expect(model.isPreviewFresh).toBe(true));
    expect(model.isPlanFresh).toBe(true);
    const [asked] = await bodies(server, 'POST finetune/plan');
    expect(asked).toEqual({
      config: { model: 'a/b', data: ['a.jsonl'], preset: 'balanced', method: 'lora' },
      rough: true
    });
  });

  it('has written a file only once it was saved: one that was opened is somebody’s own', () => {
    const { model, kept } = make({ ...newDraft('a/b', []), path: 'mine.yaml' });
    expect(model.hasSaved).toBe(false);
    model.savedTo('mine.yaml');
    expect(model.hasSaved).toBe(true);
    expect(kept[0].path).toBe('mine.yaml');
  });

  it('whose fields are wrong is neither estimated nor are its data read', async () => {
    const { server, model } = make();
    server.reply('POST finetune/check', WRONG);
    model.load();
    model.set({ epochs: 'x' });
    await eventually(() => expect(model.problemsOf('epochs')).toEqual(["'x' is not a number"]));
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(server.asked).not.toContain('POST finetune/plan');
  });

  it('says what is missing once it was to be started, and does not start', async () => {
    const { server, model } = make(newDraft('a/b', []));
    server.reply('POST finetune/check', WRONG);
    model.load();
    await eventually(() => expect(model.checked.isFresh).toBe(true));
    expect(model.problemsOf('data')).toEqual([]);
    model.start();
    expect(model.problemsOf('data')).toEqual(['missing (a file)']);
    expect(server.asked).not.toContain('POST finetune');
  });

  it('whose goal changes is estimated again; its data is not read again for it', async () => {
    const { server, model } = make();
    model.load();
    await eventually(() => expect(model.isPreviewFresh).toBe(true));
    model.set({ learning_rate: '1e-4' });
    expect(model.isPlanFresh).toBe(false);
    await eventually(() => expect(model.isPlanFresh).toBe(true));
    expect(server.asked.filter(each => each === 'POST finetune/preview')).toHaveLength(1);
    model.set({ max_length: '64' });
    await eventually(() =>
      expect(server.asked.filter(each => each === 'POST finetune/preview')).toHaveLength(2)
    );
    await eventually(() => expect(model.isPlanFresh).toBe(true));
  });

  it('takes the fields with which it fits', async () => {
    const { model } = make();
    model.load();
    await eventually(() => expect(model.fields).not.toEqual([]));
    model.apply({ fields: { batch_size: 1, activation_checkpointing: true }, total_bytes: 1, shortened: 0 });
    expect(model.config).toMatchObject({ batch_size: 1, activation_checkpointing: true });
  });

  it('starts one job, and is kept with it', async () => {
    const { server, model, kept } = make();
    server.reply('POST finetune', JOB, 202);
    model.load();
    await eventually(() => expect(model.isPlanFresh).toBe(true));
    model.start();
    await eventually(() => expect(model.isRunning).toBe(true));
    expect(kept[kept.length - 1].jobId).toBe('finetune-1');
    model.start();
    expect(server.asked.filter(each => each === 'POST finetune')).toHaveLength(1);
  });

  it('is estimated anew once it was started, and not meanwhile: both would name the same folder', async () => {
    const { server, model } = make();
    model.load();
    await eventually(() => expect(model.isPlanFresh).toBe(true));
    const answer = server.hold('POST finetune');
    model.set({ epochs: '2' });
    model.start();
    await eventually(() => expect(model.checked.isFresh).toBe(true));
    expect(model.isPlanFresh).toBe(false);
    answer(JOB);
    await eventually(() => expect(model.isPlanFresh).toBe(true));
  });

  it('says beside its field what a plan refuses', async () => {
    const { server, model } = make();
    server.reply(
      'POST finetune/plan',
      { code: 'bad-config', message: 'device: cuda is not here.', hint: '' },
      422
    );
    model.load();
    await eventually(() => expect(model.problemsOf('device')).toEqual(['cuda is not here.']));
    server.reply('POST finetune/plan', { code: 'bad-data', message: 'a.jsonl row 2: no.', hint: '' }, 422);
    model.set({ epochs: '3' });
    await eventually(() => expect(model.problemsOf('data')).toEqual(['a.jsonl row 2: no.']));
    expect(model.problems).toEqual([]); // to start it is not forbidden: the server has the last word
  });

  it('whose job is at work does not hear that its own folder is taken, and is estimated once it has ended', async () => {
    const { server, model } = make();
    server.reply('POST finetune', JOB, 202);
    model.load();
    await eventually(() => expect(model.isPlanFresh).toBe(true));
    model.start();
    await eventually(() => expect(model.isRunning).toBe(true));
    const taken = 'output_dir：正在运行的任务';
    server.reply('POST finetune/plan', { code: 'bad-config', message: taken, hint: '' }, 422);
    model.set({ epochs: '3' });
    await eventually(() => expect(model.plan.problem?.message).toBe(taken));
    expect(model.planProblem).toBeNull();
    expect(model.problemsOf('output_dir')).toEqual([]);
    server.reply('POST finetune/plan', plan('a/b'));
    server.reply('GET jobs', { jobs: [{ ...JOB, state: 'succeeded' }] });
    stores.forEach(store => store.showLists(() => false));
    await stores[stores.length - 1].refresh();
    await eventually(() => expect(model.isPlanFresh).toBe(true));
  });

  it('is estimated anew once its model is here', async () => {
    const { server, model } = make();
    const show = (cached: boolean) => {
      server.replyAll({ models: [{ model_name: 'a/b', cached }] });
      return stores[stores.length - 1].refresh();
    };
    stores[stores.length - 1].showLists(() => false);
    await show(false);
    model.load();
    await eventually(() => expect(model.isPlanFresh).toBe(true));
    await show(true);
    await eventually(() =>
      expect(server.asked.filter(each => each === 'POST finetune/plan')).toHaveLength(2)
    );
    await eventually(() => expect(model.isPlanFresh).toBe(true));
  });

  it('is looked at anew once its data is here', async () => {
    const { server, model } = make();
    const [store] = stores.slice(-1);
    const name = 'ms:org/talks';
    const download = { id: 'd', kind: 'download', state: 'running', params: { model_name: name } };
    const asked = (route: string) => server.asked.filter(each => each === route).length;
    store.showLists(() => false);
    server.reply('POST finetune/check', { ...RIGHT, absent: [name] });
    server.reply('POST models/download', download, 202);
    model.load();
    await eventually(() => expect(model.checked.value?.absent).toEqual([name]));
    await eventually(() => expect(model.isPreviewFresh).toBe(true));
    const before = [asked('POST finetune/plan'), asked('POST finetune/preview')];
    server.replyAll({ models: [{ model_name: 'a/b', cached: true }], jobs: [download] });
    await store.actions.download(name);
    await eventually(() => expect(store.isDownloading(name)).toBe(true));
    expect([asked('POST finetune/plan'), asked('POST finetune/preview')]).toEqual(before);
    server.reply('POST finetune/check', RIGHT);
    server.replyAll({
      models: [{ model_name: 'a/b', cached: true }],
      jobs: [{ ...download, state: 'succeeded' }]
    });
    await store.refresh();
    await eventually(() => expect(model.checked.value?.absent).toEqual([]));
    await eventually(() => expect(asked('POST finetune/plan')).toBe(before[0] + 1));
    await eventually(() => expect(asked('POST finetune/preview')).toBe(before[1] + 1));
  });

  it('names data by the hub that has it, once one has told', async () => {
    const { server, model } = make();
    server.reply('POST finetune/check', { ...RIGHT, absent: ['ms:org/far:zh', 'ms:org/talks'] });
    const rough = [{ name: 'ms:org/far:zh', size: null }];
    server.reply('POST finetune/plan', { ...plan('a/b'), absent: rough });
    server.reply('POST finetune/preview', { ...PREVIEW, absent: [{ name: 'hf:org/far:zh', size: 5 }] });
    model.load();
    await eventually(() => expect(model.isPlanFresh).toBe(true));
    await eventually(() => expect(model.isPreviewFresh).toBe(true));
    expect(absentOf(model)).toEqual([
      { name: 'hf:org/far:zh', size: 5 },
      { name: 'ms:org/talks', size: null }
    ]);
  });

  it('that is refused says why, and is as it was', async () => {
    const { server, model } = make();
    server.reply('POST finetune', { code: 'does-not-fit', message: 'Too large.', hint: '' }, 409);
    model.load();
    await eventually(() => expect(model.isPlanFresh).toBe(true));
    model.start();
    await eventually(() => expect(model.starting.problem?.message).toBe('Too large.'));
    expect(model.text('model')).toBe('a/b');
    expect(model.isRunning).toBe(false);
  });

  it('goes on where it was once the server is back', async () => {
    const { server, model } = make();
    server.answers.delete('GET finetune/schema');
    model.load();
    await eventually(() => expect(model.schema.problem?.code).toBe('server-missing'));
    expect(model.text('model')).toBe('a/b');
    server.reply('GET finetune/schema', SCHEMA);
    model.load();
    await eventually(() => expect(model.checked.isFresh).toBe(true));
    expect(model.schema.problem).toBeNull();
  });
});

describe('the latest question', () => {
  it('is the one that is answered, whichever answer comes first', async () => {
    const latest = new Latest<string>(() => undefined);
    const waiting: Array<(value: string) => void> = [];
    const ask = () => latest.ask(() => new Promise<string>(resolve => waiting.push(resolve)));
    ask();
    await eventually(() => expect(waiting).toHaveLength(1));
    ask();
    await eventually(() => expect(waiting).toHaveLength(2));
    waiting[1]('new');
    await eventually(() => expect(latest.value).toBe('new'));
    waiting[0]('old');
    await Promise.resolve();
    expect([latest.value, latest.isFresh, latest.isBusy]).toEqual(['new', true, false]);
  });

  it('stops the one before, and is not asked while somebody types', async () => {
    const asked: AbortSignal[] = [];
    const latest = new Latest<number>(() => undefined);
    const ask = (signal: AbortSignal) => {
      asked.push(signal);
      return new Promise<number>(() => undefined);
    };
    latest.ask(ask, 50);
    latest.ask(ask, 0);
    await eventually(() => expect(asked).toHaveLength(1));
    latest.stop();
    expect(asked[0].aborted).toBe(true);
    expect(latest.isBusy).toBe(false);
  });

  it('that failed leaves the answer before, and says so', async () => {
    const latest = new Latest<number>(() => undefined);
    latest.ask(() => Promise.resolve(1));
    await eventually(() => expect(latest.value).toBe(1));
    latest.ask(() => Promise.reject(new Error('gone')));
    await eventually(() => expect(latest.problem?.message).toBe('gone'));
    expect([latest.value, latest.isFresh]).toEqual([1, false]);
  });
});

describe('the fields that are shown', () => {
  const DEFAULTS = { method: 'lora', objective: 'sft', launcher: 'local' };

  async function shown(values: Parameters<FineTuneModel['set']>[0]): Promise<ReadonlyArray<string>> {
    const { server, model } = make();
    server.reply('POST finetune/check', { ...RIGHT, defaults: DEFAULTS });
    model.load();
    model.set(values);
    await eventually(() => expect(model.checked.value?.defaults.method).toBe('lora'));
    return shownFields(model).map(({ name }) => name);
  }

  it('are not those of another objective, method or launcher', async () => {
    const names = await shown({});
    expect(names).toEqual(expect.arrayContaining(['objective', 'epochs', 'lora.r', 'launcher']));
    expect(names.filter(name => /^(beta|rpo_alpha|trainable_layers|dlc\.)/.test(name))).toEqual([]);
  });

  it('are those of what is chosen', async () => {
    expect(await shown({ objective: 'orpo' })).toContain('beta');
    expect(await shown({ objective: 'orpo' })).not.toContain('rpo_alpha');
    expect(await shown({ objective: 'dpo' })).toContain('rpo_alpha');
    const full = await shown({ method: 'full', launcher: 'pai-dlc' });
    expect(full).toEqual(expect.arrayContaining(['trainable_layers', 'dlc.region']));
    expect(full).not.toContain('lora.r');
  });

  it('are also those that somebody has filled in, and all of them where a run says what is chosen', async () => {
    expect(await shown({ beta: '0.2' })).toContain('beta');
    expect(await shown({ init_from: 'runs/first' })).toEqual(
      expect.arrayContaining(['beta', 'trainable_layers'])
    );
  });
});
