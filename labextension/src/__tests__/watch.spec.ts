import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { CHANGE_SCHEMA_ID } from '../api/events';
import { Store } from '../state/store';
import { eventually, FakeServer } from './fake';

const TRAINING = { id: 'j', kind: 'finetune', state: 'running' };

class Bus {
  readonly stream = new Signal<Bus, Event.Emission>(this);
}

describe('JobWatch', () => {
  let server: FakeServer;
  let bus: Bus;
  let store: Store;

  beforeEach(() => {
    server = new FakeServer();
    server.replyAll({ jobs: [TRAINING] });
    server.reply('GET jobs/j/metrics', { metrics: [{ step: 1, loss: 2 }], next_after: 3 });
    bus = new Bus();
    store = new Store({ client: server.client, events: bus.stream, intervalMs: 100_000 });
  });

  afterEach(() => store.dispose());

  it('has its job after a refresh, though nobody sees it yet, and asks for no list', async () => {
    const watch = store.watch('j', () => true);
    await watch.refresh();
    expect(watch.job?.state).toBe('running');
    expect(watch.metrics).toEqual([{ step: 1, loss: 2 }]);
    expect(server.asked).toEqual(['GET jobs/j', 'GET jobs/j/metrics']);
  });

  it('is told what the list tells', async () => {
    const watch = store.watch('j', () => false);
    await watch.refresh();
    store.showLists(() => false);
    server.reply('GET jobs', { jobs: [{ ...TRAINING, state: 'stopping' }] });
    await store.refresh();
    expect(watch.job?.state).toBe('stopping');
  });

  it('is woken by an event of a job that was over', async () => {
    server.reply('GET jobs/j', { ...TRAINING, state: 'stopped' });
    const watch = store.watch('j', () => false);
    await watch.refresh();
    expect(watch.isOver).toBe(true);
    server.reply('GET jobs/j', TRAINING);
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'running' });
    await eventually(() => expect(watch.isOver).toBe(false));
  });

  it('asks nothing while it is hidden or once it is disposed', async () => {
    let isHidden = false;
    const watch = store.watch('j', () => isHidden);
    await watch.refresh();
    isHidden = true;
    await new Promise(resolve => setTimeout(resolve, 1500));
    expect(server.asked).toHaveLength(2);
    isHidden = false;
    await eventually(() => expect(server.asked.length).toBeGreaterThan(2));
    watch.dispose();
    const seen = server.asked.length;
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'running' });
    await new Promise(resolve => setTimeout(resolve, 1500));
    expect(server.asked.length).toBe(seen);
  });

  it('asks for the curve once for a hundred quick steps, and for its end', async () => {
    const watch = store.watch('j', () => false);
    await watch.refresh();
    const asked = () => server.asked.filter(each => each === 'GET jobs/j/metrics').length;
    expect(asked()).toBe(1);
    server.reply('GET jobs/j', { ...TRAINING, state: 'succeeded' });
    server.reply('GET jobs/j/metrics', { metrics: [{ step: 99, loss: 1 }], next_after: 99 });
    for (let step = 0; step < 100; step++) {
      bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'running' });
    }
    await eventually(() => expect(watch.metrics[watch.metrics.length - 1].step).toBe(99));
    expect(asked()).toBe(2);
  });

  it('asks for no curve while it is hidden, although a list tells that its job moves on', async () => {
    const watch = store.watch('j', () => true);
    store.showLists(() => false);
    await watch.refresh();
    const asked = () => server.asked.filter(each => each === 'GET jobs/j/metrics').length;
    expect([asked(), watch.isBehind]).toEqual([1, false]);
    server.reply('GET jobs/j', { ...TRAINING, state: 'succeeded' });
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'succeeded' });
    await eventually(() => expect(watch.job?.state).toBe('succeeded'));
    expect([asked(), watch.isBehind]).toEqual([1, true]);
    await watch.refresh();
    expect([asked(), watch.isBehind]).toEqual([2, false]);
  });

  it('says why its job could not be asked for, and keeps what it had', async () => {
    const watch = store.watch('j', () => false);
    await watch.refresh();
    server.reply('GET jobs/j', { code: 'server-busy', message: '', hint: '' }, 503);
    await watch.refresh();
    expect(watch.problem?.code).toBe('server-busy');
    expect(watch.job?.id).toBe('j');
  });
});
