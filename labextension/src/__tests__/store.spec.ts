import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { CHANGE_SCHEMA_ID } from '../api/events';
import { SERVER_MISSING } from '../api/request';
import { PRACTICE_MODEL } from '../domain/models';
import { Store } from '../state/store';
import { addressOf, eventually, FakeServer } from './fake';

const RUNNING = { id: 'j', kind: 'download', state: 'running', params: { model_name: 'o/n' } };

class Bus {
  readonly stream = new Signal<Bus, Event.Emission>(this);
}

describe('Store', () => {
  let server: FakeServer;
  let bus: Bus;
  let isHidden: boolean;
  let store: Store;

  beforeEach(() => {
    server = new FakeServer();
    server.replyAll();
    bus = new Bus();
    isHidden = false;
    store = new Store({ client: server.client, events: bus.stream, intervalMs: 100_000 });
    store.showLists(() => isHidden);
  });

  afterEach(() => store.dispose());

  it('asks nothing until it is looked at', async () => {
    await new Promise(resolve => setTimeout(resolve, 50));
    expect(server.asked).toEqual([]);
  });

  it('has the whole picture after a refresh', async () => {
    await store.refresh();
    expect(store.snapshot.status?.hub).toBe('modelscope');
    expect(store.snapshot.cache?.total_size).toBe(5);
    expect(store.snapshot.problem).toBeNull();
  });

  it('keeps what it was told of the machine while it looked', async () => {
    const release = server.hold('GET models');
    server.reply('GET machine', { name: 'GPU', total_bytes: 7 });
    const looking = store.refresh();
    await store.askMachine();
    release({ models: [] });
    await looking;
    expect(store.snapshot.machine?.total_bytes).toBe(7);
  });

  it('asks again for the machine of a server that did not answer', async () => {
    await store.askMachine();
    expect(store.snapshot.machine).toBeNull();
    server.reply('GET machine', { name: 'GPU', total_bytes: 7 });
    await store.askMachine();
    await store.askMachine();
    expect(store.snapshot.machine?.total_bytes).toBe(7);
    expect(server.asked).toEqual(['GET machine', 'GET machine']);
  });

  it('looks only at what runs while no event tells of it, and at models and cache once it ended', async () => {
    server.replyAll({ jobs: [RUNNING, { ...RUNNING, id: 'over', state: 'succeeded' }] });
    await store.refresh();
    const seen = server.asked.length;
    await eventually(() => expect(server.asked.length).toBeGreaterThanOrEqual(seen + 2));
    expect([...new Set(server.asked.slice(seen))]).toEqual(['GET jobs/j']);
    server.replyAll({
      jobs: [{ ...RUNNING, state: 'succeeded' }],
      models: [{ model_name: 'o/n', cached: true }]
    });
    await eventually(() => expect(store.snapshot.models).toHaveLength(1));
  });

  it('tells of a job that started, of one that waits and of one that ended', async () => {
    const told: string[] = [];
    store.jobChanged.connect((_, job) => told.push(`${job.id} ${job.state}`));
    await store.refresh();
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    server.replyAll({ jobs: [{ ...RUNNING, controls: { paused: true } }] });
    await store.refresh();
    server.replyAll({ jobs: [{ ...RUNNING, state: 'failed' }] });
    await store.refresh();
    await store.refresh();
    expect(told).toEqual(['j running', 'j running', 'j failed']);
  });

  it('tells nothing of what had happened before anyone looked', async () => {
    const told = jest.fn();
    store.jobChanged.connect(told);
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    expect(told).not.toHaveBeenCalled();
  });

  it('looks when the server announces a change, once for a burst', async () => {
    await store.refresh();
    const seen = server.asked.length;
    server.reply('GET jobs/j', { ...RUNNING, state: 'succeeded' });
    for (let count = 0; count < 20; count++) {
      bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'succeeded' });
    }
    await eventually(() => expect(store.snapshot.jobs).toHaveLength(1));
    expect(server.asked.slice(seen).filter(each => each === 'GET jobs/j').length).toBeLessThanOrEqual(2);
    expect(server.asked.slice(seen)).not.toContain('GET jobs');
  });

  it('asks only for the job that an event says moved on', async () => {
    server.replyAll({ jobs: [RUNNING, { ...RUNNING, id: 'other' }] });
    await store.refresh();
    const [, other] = store.snapshot.jobs;
    const seen = server.asked.length;
    const progress = { phase: 'transferring', done: 5 };
    server.reply('GET jobs/j', { ...RUNNING, progress });
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'running' });
    await eventually(() => expect(store.snapshot.jobs[0].progress?.done).toBe(5));
    expect(server.asked.slice(seen)).toEqual(['GET jobs/j']);
    expect(store.snapshot.jobs[1]).toBe(other);
  });

  it('asks nothing by itself while events tell of what runs', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'running' });
    await eventually(() => expect(server.asked.at(-1)).toBe('GET jobs/j'));
    const seen = server.asked.length;
    await new Promise(resolve => setTimeout(resolve, 2500));
    expect(server.asked.length).toBe(seen);
  });

  it('asks only for models and cache when an event says that the cache changed', async () => {
    await store.refresh();
    const seen = server.asked.length;
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'cache', id: 'o_n', state: 'added' });
    await eventually(() => expect(server.asked.slice(seen)).toHaveLength(2));
    expect(server.asked.slice(seen).sort()).toEqual(['GET models', 'GET models/cache/list']);
  });

  it('asks for that job, the models and the cache when a job ended', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    const seen = server.asked.length;
    server.replyAll({ jobs: [{ ...RUNNING, state: 'succeeded' }] });
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'succeeded' });
    await eventually(() => expect(store.snapshot.jobs[0].state).toBe('succeeded'));
    expect(server.asked.slice(seen).sort()).toEqual(['GET jobs/j', 'GET models', 'GET models/cache/list']);
  });

  it('drops a job that is gone', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    server.reply('GET jobs/j', { code: 'job-not-found', message: '', hint: '' }, 404);
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'running' });
    await eventually(() => expect(store.snapshot.jobs).toEqual([]));
  });

  it('does not look at other people’s events, nor while it is hidden', async () => {
    await store.refresh();
    const seen = server.asked.length;
    bus.stream.emit({ schema_id: 'https://example.org/other' });
    isHidden = true;
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID });
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(server.asked.length).toBe(seen);
  });

  it('keeps the last picture when the server is away, and forgets it when the server part is gone', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    server.reply('GET jobs', { code: 'server-busy', message: 'm', hint: 'h' }, 503);
    await store.refresh();
    expect(store.snapshot.problem?.code).toBe('server-busy');
    expect(store.snapshot.jobs).toHaveLength(1);
    server.answers.clear();
    await store.refresh();
    expect(store.snapshot.problem?.code).toBe(SERVER_MISSING);
    expect(store.snapshot.jobs).toHaveLength(0);
  });

  it('shows why an action failed until it is dismissed', async () => {
    await store.refresh();
    server.reply('POST models/download', { code: 'unknown-model', message: 'm', hint: 'try this' }, 404);
    expect(await store.actions.download('Qwen/Qwen3-7B')).toBe(false);
    expect(store.actions.problem?.hint).toBe('try this');
    store.actions.dismissProblem();
    expect(store.actions.problem).toBeNull();
  });

  it('takes an action once, however often its button is pressed', async () => {
    server.reply('POST jobs/j/stop', RUNNING);
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    const [job] = store.snapshot.jobs;
    const first = store.actions.control(job, client => client.stop(job.id));
    expect(store.actions.isPending('j')).toBe(true);
    expect(await store.actions.control(job, client => client.stop(job.id))).toBe(false);
    expect(await first).toBe(true);
    expect(store.actions.isPending('j')).toBe(false);
    expect(server.asked.filter(each => each.startsWith('POST'))).toEqual(['POST jobs/j/stop']);
  });

  it('has a plan where the server makes one, else the reason', async () => {
    server.reply('POST models/download', { files: [], bytes_to_fetch: 7 });
    expect((await store.actions.plan('o/n'))?.bytes_to_fetch).toBe(7);
    server.reply('POST models/download', { code: 'no-space', message: 'm', hint: 'h' }, 507);
    expect(await store.actions.plan('o/n')).toBeNull();
    expect(store.actions.problem?.code).toBe('no-space');
  });

  it('names the owner only of what is not ours when it deletes', async () => {
    const ours = { model_name: 'o/n', slug: 'o_n', owner: 'qwen3ft' };
    const theirs = { ...ours, slug: 'huggingface:o_n', owner: 'huggingface' };
    server.replyAll({ cached: [ours, theirs] });
    server.reply('DELETE models/cache/o_n', { evicted: [], freed: 0 });
    server.reply('DELETE models/cache/huggingface%3Ao_n', { evicted: [], freed: 0 });
    await store.refresh();
    for (const entry of store.snapshot.cache?.models ?? []) {
      expect(await store.actions.evict(entry)).toEqual({ left: [], kept: [] });
    }
    const asked = server.requests.filter(each => each.method === 'DELETE');
    expect(asked.map(addressOf)).toEqual([
      'models/cache/o_n',
      'models/cache/huggingface%3Ao_n?owner=huggingface'
    ]);
  });

  it('says what a deletion left, and nothing where it failed', async () => {
    server.reply('DELETE models/cache/all', {
      evicted: ['o_n'],
      freed: 5,
      left: ['o_n/notes.txt'],
      kept: ['o/p stays: it is in use.']
    });
    expect(await store.actions.evictAll()).toEqual({
      left: ['o_n/notes.txt'],
      kept: ['o/p stays: it is in use.']
    });
    server.reply('DELETE models/cache/all', { code: 'model-in-use', message: 'm', hint: 'h' }, 409);
    expect(await store.actions.evictAll()).toBeNull();
    expect(store.actions.problem?.code).toBe('model-in-use');
  });

  it('tells of what failed only beside what was asked, as long as that is there to tell it', async () => {
    server.reply('POST jobs/j/stop', { code: 'job-not-found', message: 'm', hint: 'h' }, 404);
    const merge = () => store.actions.act('j merge', client => client.stop('j'));
    const leave = store.actions.tellBeside('j merge');
    expect(await merge()).toBe(false);
    expect(store.actions.problem).toBeNull();
    expect(store.actions.problemOf('j merge')?.code).toBe('job-not-found');
    leave();
    expect(store.actions.problem).toBeNull();
    await merge();
    expect(store.actions.problem?.code).toBe('job-not-found');
  });

  it('finds the download of a model, unless it went well', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await store.refresh();
    expect(store.downloadOf('o/n')?.id).toBe('j');
    expect(store.downloadOf('o/other')).toBeNull();
    server.replyAll({ jobs: [{ ...RUNNING, state: 'succeeded' }] });
    await store.refresh();
    expect(store.downloadOf('o/n')).toBeNull();
  });

  it('forgets every job that has ended in one request', async () => {
    server.replyAll({ jobs: [RUNNING] });
    server.reply('DELETE jobs', { forgotten: [] });
    await store.refresh();
    expect(await store.actions.forgetEnded()).toBe(true);
    expect(server.asked.filter(each => each.startsWith('DELETE'))).toEqual(['DELETE jobs']);
  });

  it('drops a job that is told to be forgotten, and asks for nothing', async () => {
    server.replyAll({ jobs: ['a', 'b'].map(id => ({ ...RUNNING, id, state: 'succeeded' })) });
    await store.refresh();
    const seen = server.asked.length;
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'a', state: 'forgotten' });
    expect(store.snapshot.jobs.map(job => job.id)).toEqual(['b']);
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(server.asked.length).toBe(seen);
  });

  it('puts a job that another page started where it belongs by its age', async () => {
    server.replyAll({
      jobs: ['c', 'a'].map((id, index) => ({ ...RUNNING, id, state: 'succeeded', created: 3 - 2 * index }))
    });
    await store.refresh();
    server.reply('GET jobs/b', { ...RUNNING, id: 'b', created: 2 });
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'b', state: 'running' });
    await eventually(() => expect(store.snapshot.jobs.map(job => job.id)).toEqual(['c', 'b', 'a']));
  });

  it('asks for all that runs in one request', async () => {
    const jobs = ['a', 'b', 'c'].map(id => ({ ...RUNNING, id }));
    server.replyAll({ jobs });
    await store.refresh();
    const seen = server.requests.length;
    server.reply('GET jobs', { jobs: jobs.slice(1).map(job => ({ ...job, state: 'stopping' })) });
    jobs.forEach(({ id }) =>
      bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id, state: 'stopping' })
    );
    await eventually(() =>
      expect(store.snapshot.jobs.map(job => [job.id, job.state])).toEqual([
        ['b', 'stopping'],
        ['c', 'stopping']
      ])
    );
    const asked = server.requests.slice(seen).map(addressOf);
    expect(asked.filter(each => each.startsWith('jobs'))).toEqual(['jobs?ids=a%2Cb%2Cc&no_track_activity=1']);
  });

  it('takes an answer for the same where the server has nothing new to say', async () => {
    server.isRemembering = true;
    server.replyAll({
      jobs: [RUNNING],
      models: [{ model_name: 'o/n' }],
      cached: [{ model_name: 'o/n', slug: 'o_n' }]
    });
    await store.refresh();
    const before = store.snapshot;
    await store.refresh();
    expect(store.snapshot).toEqual(before);
    for (const part of ['status', 'models', 'cache', 'jobs'] as const) {
      expect(store.snapshot[part]).toBe(before[part]);
    }
  });

  it('keeps what has not changed of a list that has', async () => {
    const models = [{ model_name: 'o/a' }, { model_name: 'o/b' }];
    server.replyAll({ models });
    await store.refresh();
    const [first, second] = store.snapshot.models;
    server.replyAll({ models: [models[0], { ...models[1], cached: true }] });
    await store.refresh();
    expect(store.snapshot.models[0]).toBe(first);
    expect(store.snapshot.models[1]).not.toBe(second);
  });

  it('offers the practice model until it is there, and knows when no hub can be reached', async () => {
    const practice = { model_name: PRACTICE_MODEL, role: 'practice', catalogued: false };
    const error = { code: 'hub-unreachable', message: 'm', hint: 'h' };
    server.replyAll({ models: [practice], jobs: [{ ...RUNNING, state: 'failed', error }] });
    await store.refresh();
    expect(store.isHubUnreachable).toBe(true);
    expect(store.practiceOffer?.model_name).toBe(PRACTICE_MODEL);
    server.replyAll({
      models: [{ ...practice, cached: true }],
      jobs: [
        { ...RUNNING, id: 'new', state: 'succeeded' },
        { ...RUNNING, state: 'failed', error }
      ]
    });
    await store.refresh();
    expect(store.isHubUnreachable).toBe(false);
    expect(store.practiceOffer).toBeNull();
  });

  it('listens no more once disposed', async () => {
    await store.refresh();
    const seen = server.asked.length;
    store.dispose();
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID });
    await new Promise(resolve => setTimeout(resolve, 400));
    expect(server.asked.length).toBe(seen);
  });
});
