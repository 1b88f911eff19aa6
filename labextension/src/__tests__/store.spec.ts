import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { PRACTICE_MODEL } from '../domain/models';
import { CHANGE_SCHEMA_ID, PanelModel } from '../state/store';
import { SERVER_MISSING } from '../api/request';
import { addressOf, eventually, FakeServer } from './fake';

const RUNNING = { id: 'j', kind: 'download', state: 'running', params: { model_name: 'o/n' } };

class Bus {
  readonly stream = new Signal<Bus, Event.Emission>(this);
}

describe('PanelModel', () => {
  let server: FakeServer;
  let bus: Bus;
  let isHidden: boolean;
  let model: PanelModel;

  beforeEach(() => {
    server = new FakeServer();
    server.replyAll();
    bus = new Bus();
    isHidden = false;
    model = new PanelModel({
      client: server.client,
      events: bus.stream,
      intervalMs: 100_000,
      isHidden: () => isHidden
    });
  });

  afterEach(() => model.dispose());

  it('asks nothing until it is looked at', async () => {
    await new Promise(resolve => setTimeout(resolve, 50));
    expect(server.asked).toEqual([]);
  });

  it('has the whole picture after a refresh', async () => {
    await model.refresh();
    expect(model.snapshot.status?.hub).toBe('modelscope');
    expect(model.snapshot.cache?.total_size).toBe(5);
    expect(model.snapshot.problem).toBeNull();
  });

  it('looks only at jobs while one runs, and at everything once it ended', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await model.refresh();
    const seen = server.asked.length;
    await eventually(() => expect(server.asked.slice(seen)).toEqual(['GET jobs', 'GET jobs']), 4000);
    server.replyAll({
      jobs: [{ ...RUNNING, state: 'succeeded' }],
      models: [{ model_name: 'o/n', cached: true }]
    });
    await eventually(() => expect(model.snapshot.models).toHaveLength(1), 4000);
  });

  it('tells of a job that started, of one that waits and of one that ended', async () => {
    const told: string[] = [];
    model.jobChanged.connect((_, job) => told.push(`${job.id} ${job.state}`));
    await model.refresh();
    server.replyAll({ jobs: [RUNNING] });
    await model.refresh();
    server.replyAll({ jobs: [{ ...RUNNING, controls: { paused: true } }] });
    await model.refresh();
    server.replyAll({ jobs: [{ ...RUNNING, state: 'failed' }] });
    await model.refresh();
    await model.refresh();
    expect(told).toEqual(['j running', 'j running', 'j failed']);
  });

  it('tells nothing of what had happened before anyone looked', async () => {
    const told = jest.fn();
    model.jobChanged.connect(told);
    server.replyAll({ jobs: [RUNNING] });
    await model.refresh();
    expect(told).not.toHaveBeenCalled();
  });

  it('looks when the server announces a change, once for a burst', async () => {
    await model.refresh();
    const seen = server.asked.length;
    server.replyAll({ jobs: [{ ...RUNNING, state: 'succeeded' }] });
    for (let count = 0; count < 20; count++) {
      bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'succeeded' });
    }
    await eventually(() => expect(model.snapshot.jobs).toHaveLength(1));
    expect(server.asked.slice(seen).filter(each => each === 'GET jobs').length).toBeLessThanOrEqual(2);
  });

  it('does not look at other people’s events, nor while it is hidden', async () => {
    await model.refresh();
    const seen = server.asked.length;
    bus.stream.emit({ schema_id: 'https://example.org/other' });
    isHidden = true;
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID });
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(server.asked.length).toBe(seen);
  });

  it('keeps the last picture when the server is away, and forgets it when the server part is gone', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await model.refresh();
    server.reply('GET jobs', { code: 'server-busy', message: 'm', hint: 'h' }, 503);
    await model.refresh();
    expect(model.snapshot.problem?.code).toBe('server-busy');
    expect(model.snapshot.jobs).toHaveLength(1);
    server.answers.clear();
    await model.refresh();
    expect(model.snapshot.problem?.code).toBe(SERVER_MISSING);
    expect(model.snapshot.jobs).toHaveLength(0);
  });

  it('shows why an action failed until it is dismissed', async () => {
    await model.refresh();
    server.reply('POST models/download', { code: 'unknown-model', message: 'm', hint: 'try this' }, 404);
    expect(await model.download('Qwen/Qwen3-7B')).toBe(false);
    expect(model.actionProblem?.hint).toBe('try this');
    model.dismissProblem();
    expect(model.actionProblem).toBeNull();
  });

  it('takes an action once, however often its button is pressed', async () => {
    server.reply('POST jobs/j/stop', RUNNING);
    server.replyAll({ jobs: [RUNNING] });
    await model.refresh();
    const [job] = model.snapshot.jobs;
    const first = model.stop(job);
    expect(model.isPending('j')).toBe(true);
    expect(await model.stop(job)).toBe(false);
    expect(await first).toBe(true);
    expect(model.isPending('j')).toBe(false);
    expect(server.asked.filter(each => each.startsWith('POST'))).toEqual(['POST jobs/j/stop']);
  });

  it('has a plan where the server makes one, else the reason', async () => {
    server.reply('POST models/download', { files: [], bytes_to_fetch: 7 });
    expect((await model.plan('o/n'))?.bytes_to_fetch).toBe(7);
    server.reply('POST models/download', { code: 'no-space', message: 'm', hint: 'h' }, 507);
    expect(await model.plan('o/n')).toBeNull();
    expect(model.actionProblem?.code).toBe('no-space');
  });

  it('names the owner only of what is not ours when it deletes', async () => {
    const ours = { model_name: 'o/n', slug: 'o_n', owner: 'qwen3ft' };
    const theirs = { ...ours, slug: 'huggingface:o_n', owner: 'huggingface' };
    server.replyAll({ cached: [ours, theirs] });
    server.reply('DELETE models/cache/o_n', { evicted: [], freed: 0 });
    server.reply('DELETE models/cache/huggingface%3Ao_n', { evicted: [], freed: 0 });
    await model.refresh();
    for (const entry of model.snapshot.cache?.models ?? []) {
      expect(await model.evict(entry)).toBe(true);
    }
    const asked = server.requests.filter(each => each.method === 'DELETE');
    expect(asked.map(addressOf)).toEqual([
      'models/cache/o_n',
      'models/cache/huggingface%3Ao_n?owner=huggingface'
    ]);
  });

  it('finds the download of a model, unless it went well', async () => {
    server.replyAll({ jobs: [RUNNING] });
    await model.refresh();
    expect(model.downloadOf('o/n')?.id).toBe('j');
    expect(model.downloadOf('o/other')).toBeNull();
    server.replyAll({ jobs: [{ ...RUNNING, state: 'succeeded' }] });
    await model.refresh();
    expect(model.downloadOf('o/n')).toBeNull();
  });

  it('forgets every job that has ended, one failing or not', async () => {
    server.replyAll({
      jobs: [RUNNING, ...['a', 'b', 'c'].map(id => ({ ...RUNNING, id, state: 'succeeded' }))]
    });
    server.reply('DELETE jobs/a', { code: 'job-not-found', message: '', hint: '' }, 404);
    server.reply('DELETE jobs/b', { code: 'server-busy', message: '', hint: '' }, 503);
    server.reply('DELETE jobs/c', null, 204);
    await model.refresh();
    expect(await model.forgetEnded()).toBe(false);
    expect(server.asked.filter(each => each.startsWith('DELETE'))).toEqual([
      'DELETE jobs/a',
      'DELETE jobs/b',
      'DELETE jobs/c'
    ]);
    expect(model.actionProblem?.code).toBe('server-busy');
  });

  it('offers the practice model until it is there, and knows when no hub can be reached', async () => {
    const practice = { model_name: PRACTICE_MODEL, role: 'practice', catalogued: false };
    const error = { code: 'hub-unreachable', message: 'm', hint: 'h' };
    server.replyAll({ models: [practice], jobs: [{ ...RUNNING, state: 'failed', error }] });
    await model.refresh();
    expect(model.isHubUnreachable).toBe(true);
    expect(model.practiceOffer?.model_name).toBe(PRACTICE_MODEL);
    server.replyAll({
      models: [{ ...practice, cached: true }],
      jobs: [
        { ...RUNNING, id: 'new', state: 'succeeded' },
        { ...RUNNING, state: 'failed', error }
      ]
    });
    await model.refresh();
    expect(model.isHubUnreachable).toBe(false);
    expect(model.practiceOffer).toBeNull();
  });

  it('listens no more once disposed', async () => {
    await model.refresh();
    const seen = server.asked.length;
    model.dispose();
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID });
    await new Promise(resolve => setTimeout(resolve, 400));
    expect(server.asked.length).toBe(seen);
  });
});
