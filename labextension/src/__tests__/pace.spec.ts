import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { CHANGE_SCHEMA_ID } from '../api/events';
import { Store } from '../state/store';
import { FakeServer } from './fake';

/** The real one. */
const later = globalThis.setTimeout;

const RUNNING = { id: 'j', kind: 'finetune', state: 'running', params: {} };

class Bus {
  readonly stream = new Signal<Bus, Event.Emission>(this);
}

describe('how often a running job is asked for', () => {
  let server: FakeServer;
  let bus: Bus;
  let store: Store;

  beforeEach(async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    server = new FakeServer();
    server.replyAll({ jobs: [RUNNING] });
    server.reply('GET jobs/j/metrics', { metrics: [], next_after: 1 });
    bus = new Bus();
    store = new Store({ client: server.client, events: bus.stream, intervalMs: 15_000 });
    store.glanceAtJobs(() => false);
    await store.refresh();
    server.requests.length = 0;
  });

  afterEach(() => {
    store.dispose();
    jest.useRealTimers();
  });

  const tell = (state: string) =>
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state });

  /** Let time pass, and answers come in. */
  const pass = async (milliseconds: number) => {
    for (let passed = 0; passed < milliseconds; passed += 100) {
      await jest.advanceTimersByTimeAsync(100);
      await new Promise(resolve => later(resolve, 0));
    }
  };

  /** Let a job take steps, of which the server tells each second. */
  const run = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      tell('running');
      await pass(1000);
    }
  };

  it('is every five seconds for the status bar alone, and then for the job and no list', async () => {
    await run(21);
    expect(server.asked).toEqual(Array(4).fill('GET jobs/j'));
  });

  it('is every two and a half seconds for who follows it', async () => {
    store.watch('j', () => false);
    await run(21);
    expect(server.asked.filter(each => each === 'GET jobs/j')).toHaveLength(8);
  });

  it('is at once when it ends', async () => {
    await run(2);
    server.replyAll({ jobs: [{ ...RUNNING, state: 'failed' }] });
    tell('failed');
    await pass(400);
    expect(store.snapshot.jobs.map(job => job.state)).toEqual(['failed']);
  });
});
