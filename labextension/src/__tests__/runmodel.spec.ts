import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { CHANGE_SCHEMA_ID } from '../api/events';
import { RunModel } from '../state/run';
import { Store } from '../state/store';
import { eventually, FakeServer } from './fake';

const RUN = {
  folder: '/runs/first',
  record: { run_id: 'one', model: 'a/b' },
  result: null,
  report: null,
  numbers: {}
};
const SERIES = { stride: 1, start: 0, steps: [1, 2], means: [3, 2], lows: [], highs: [] };
const CURVES = { version: 'a', last_step: 2, series: { loss: SERIES } };
const JOB = { id: 'one', kind: 'finetune', state: 'running', params: {}, attempt: 1 };

class Bus {
  readonly stream = new Signal<Bus, Event.Emission>(this);

  /** Tell that the run has taken a step. */
  step(): void {
    this.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'one', state: 'running' });
  }
}

function setUp(folder = '', isHidden = false) {
  const fake = new FakeServer();
  fake.replyAll({ jobs: [JOB] });
  fake.reply('GET runs/report', RUN);
  fake.reply('GET runs/curves', CURVES);
  const bus = new Bus();
  const store = new Store({ client: fake.client, events: bus.stream, intervalMs: 60_000 });
  const kept: string[] = [];
  const model = new RunModel({
    store,
    jobId: 'one',
    folder,
    isHidden: () => isHidden,
    onFolder: each => kept.push(each)
  });
  return { fake, bus, store, model, kept };
}

const BUSY = { code: 'busy', message: 'Not now.', hint: '' };
const GONE = { code: 'job-not-found', message: '', hint: '' };

describe('the view of a run', () => {
  let dispose: () => void = () => undefined;
  const open = (folder = '', isHidden = false) => {
    const all = setUp(folder, isHidden);
    dispose = () => {
      all.model.dispose();
      all.store.dispose();
    };
    return all;
  };

  afterEach(() => dispose());

  it('shows job, folder and curves, and keeps the folder', async () => {
    const { model, kept } = open();
    await model.refresh();
    await eventually(() => expect(model.picture.curves?.series.loss.steps).toEqual([1, 2]));
    expect(model.picture.job?.id).toBe('one');
    expect(kept).toEqual(['/runs/first']);
  });

  it('asks only for what is new of its curves', async () => {
    const { fake, model } = open();
    await model.refresh();
    await eventually(() => expect(model.picture.curves).not.toBeNull());
    const news = {
      ...CURVES,
      last_step: 3,
      series: { loss: { ...SERIES, start: 2, steps: [3], means: [1] } }
    };
    fake.reply('GET runs/curves', news);
    await model.refresh();
    await eventually(() => expect(model.picture.curves?.series.loss.steps).toEqual([1, 2, 3]));
    expect(fake.requests.map(({ url }) => url).filter(url => url.includes('after=2'))).toHaveLength(1);
  });

  it('is drawn once for a hundred quick steps, and asks for its curves once', async () => {
    const { fake, bus, model } = open();
    await model.refresh();
    await eventually(() => expect(model.picture.curves).not.toBeNull());
    const count = (route: string) => fake.asked.filter(each => each === route).length;
    const before = ['GET jobs/one', 'GET runs/curves', 'GET runs/report'].map(count);
    fake.reply('GET jobs/one', { ...JOB, progress: { phase: 'training', done: 100 } });
    let drawings = 0;
    model.subscribe(() => drawings++);
    for (let step = 0; step < 100; step++) {
      bus.step();
    }
    await eventually(() => expect(model.picture.job?.progress?.done).toBe(100));
    const asked = ['GET jobs/one', 'GET runs/curves', 'GET runs/report'].map(count);
    expect(asked.map((each, index) => each - before[index])).toEqual([1, 0, 0]);
    expect(drawings).toBe(1);
  });

  it('asks nothing of its own while it is hidden, although the list of jobs is seen and moves on', async () => {
    const { fake, bus, store, model } = open('', true);
    store.showLists(() => false);
    await store.refresh();
    const seen = fake.asked.length;
    fake.reply('GET jobs/one', { ...JOB, progress: { phase: 'training', done: 7 } });
    bus.step();
    await eventually(() => expect(store.snapshot.jobs[0].progress?.done).toBe(7));
    await eventually(() => expect(model.picture.job?.progress?.done).toBe(7));
    expect(fake.asked.slice(seen)).toEqual(['GET jobs/one']);
  });

  it('does not draw again what it was told before', async () => {
    const { model } = open();
    await model.refresh();
    await eventually(() => expect(model.picture.curves).not.toBeNull());
    const { run, curves } = model.picture;
    await model.refresh();
    await eventually(() => expect(model.picture.run).toBe(run));
    expect(model.picture.curves).toBe(curves);
  });

  it('draws anew what a resumed run has computed again', async () => {
    const { fake, model } = open();
    await model.refresh();
    await eventually(() => expect(model.picture.curves).not.toBeNull());
    fake.reply('GET runs/curves', {
      ...CURVES,
      version: 'b',
      series: { loss: { ...SERIES, means: [9, 8] } }
    });
    await model.refresh();
    await eventually(() => expect(model.picture.curves?.series.loss.means).toEqual([9, 8]));
  });

  it('does not show the results of a later run in the same folder', async () => {
    const { fake, model } = open();
    fake.reply('GET jobs/one', { ...JOB, state: 'succeeded' });
    fake.reply('GET runs/report', { ...RUN, record: { run_id: 'two' } });
    await model.refresh();
    await eventually(() => expect(model.picture.isReplaced).toBe(true));
    expect([model.picture.run, model.picture.curves]).toEqual([null, null]);
  });

  it('finds a forgotten run by its folder', async () => {
    const { fake, model } = open('/runs/first');
    fake.reply('GET jobs/one', GONE, 404);
    await model.refresh();
    await eventually(() => expect(model.picture.curves).not.toBeNull());
    expect(model.picture.isForgotten).toBe(true);
    const asked = fake.requests.filter(({ url }) => url.includes('runs/curves'));
    expect(new URL(asked[0].url).searchParams.get('run')).toBe('/runs/first');
  });

  it('looks again at a forgotten run that could not be read while nobody saw it', async () => {
    const { fake, model } = open('/runs/first', true);
    fake.reply('GET jobs/one', GONE, 404);
    fake.reply('GET runs/report', BUSY, 503);
    await model.refresh();
    await eventually(() => expect(model.picture.problem?.code).toBe('busy'));
    fake.reply('GET runs/report', RUN);
    await model.refresh();
    await eventually(() => expect(model.picture.problem).toBeNull());
    expect(model.picture.curves?.series.loss.steps).toEqual([1, 2]);
  });

  it('asks each of two questions that failed again, also where the later one waits less', async () => {
    const { fake, model } = open();
    fake.reply('GET jobs/one', { ...JOB, state: 'succeeded' });
    const count = (route: string) => fake.asked.filter(each => each === route).length;
    await model.refresh();
    await eventually(() => expect(model.picture.curves).not.toBeNull());
    fake.reply('GET runs/report', BUSY, 503);
    await model.refresh();
    await eventually(() => expect(model.picture.problem?.code).toBe('busy'));
    await eventually(() => expect(count('GET runs/curves')).toBe(2));
    fake.reply('GET runs/curves', BUSY, 503);
    await model.refresh();
    await eventually(() => expect(count('GET runs/curves')).toBe(3));
    fake.reply('GET runs/report', RUN);
    fake.reply('GET runs/curves', CURVES);
    await eventually(() => expect(model.picture.problem).toBeNull());
  });

  it('keeps what it knows where one of several questions fails, and asks that one again', async () => {
    const { fake, model } = open();
    fake.reply('GET jobs/one', { ...JOB, state: 'succeeded' });
    await model.refresh();
    await eventually(() => expect(model.picture.curves).not.toBeNull());
    fake.reply('GET runs/report', BUSY, 503);
    await model.refresh();
    await eventually(() => expect(model.picture.problem?.message).toBe('Not now.'));
    expect(model.picture.run?.folder).toBe('/runs/first');
    expect(model.picture.curves?.series.loss.steps).toEqual([1, 2]);
    const count = () => fake.asked.filter(each => each === 'GET runs/curves').length;
    await eventually(() => expect(count()).toBe(2));
    fake.reply('GET runs/report', { ...RUN, result: { steps: 2 } });
    await eventually(() => expect(model.picture.problem).toBeNull());
    expect(model.picture.run?.result).toEqual({ steps: 2 });
    expect(count()).toBe(2);
  });

  it('draws the curves of a run whose folder could not be read at first', async () => {
    const { fake, model } = open();
    fake.reply('GET jobs/one', { ...JOB, state: 'succeeded' });
    fake.reply('GET runs/report', BUSY, 503);
    await model.refresh();
    await eventually(() => expect(model.picture.problem).not.toBeNull());
    fake.reply('GET runs/report', RUN);
    await eventually(() => expect(model.picture.curves?.series.loss.steps).toEqual([1, 2]));
    expect(model.picture.problem).toBeNull();
  });

  it('is silent about a folder that a run has not made yet', async () => {
    const { fake, model } = open();
    fake.reply('GET runs/report', { code: 'load-error', message: 'no fine-tune', hint: '' }, 422);
    await model.refresh();
    await eventually(() => expect(fake.asked).toContain('GET runs/report'));
    expect(model.picture.problem).toBeNull();
  });

  it('says why the folder of a run that ended cannot be shown', async () => {
    const { fake, model } = open();
    fake.reply('GET jobs/one', { ...JOB, state: 'failed' });
    fake.reply('GET runs/report', { code: 'load-error', message: 'no fine-tune', hint: '' }, 422);
    await model.refresh();
    await eventually(() => expect(model.picture.problem?.code).toBe('load-error'));
  });
});
