import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { CHANGE_SCHEMA_ID } from '../api/events';
import { CompareModel } from '../state/compare';
import { Store } from '../state/store';
import { addressOf, eventually, FakeServer } from './fake';

const SERIES = { stride: 1, start: 0, steps: [1, 2], means: [3, 2], lows: [], highs: [] };
const CURVES = { version: 'a', last_step: 2, series: { loss: SERIES } };
const MORE = { ...CURVES, last_step: 3, series: { loss: { ...SERIES, start: 2, steps: [3], means: [1] } } };
const OTHER = { id: 'two', kind: 'finetune', title: 'Two', state: 'running', params: {}, attempt: 1 };
const COMPARISON = { names: ['first', 'second'], fields: {}, numbers: { loss: [1, 2] } };

class Bus {
  readonly stream = new Signal<Bus, Event.Emission>(this);
}

describe('the comparison of runs', () => {
  let fake: FakeServer;
  let bus: Bus;
  let store: Store;
  let model: CompareModel;
  let isHidden: boolean;

  beforeEach(async () => {
    fake = new FakeServer();
    fake.replyAll({ jobs: [OTHER] });
    fake.reply('GET runs/curves', CURVES);
    fake.reply('GET runs/compare', COMPARISON);
    bus = new Bus();
    isHidden = false;
    store = new Store({ client: fake.client, events: bus.stream, intervalMs: 60_000 });
    store.showLists(() => isHidden);
    await store.refresh();
    model = new CompareModel({
      store,
      id: 'one',
      name: () => 'one',
      curves: () => null,
      isHidden: () => isHidden
    });
  });

  afterEach(() => {
    model.dispose();
    store.dispose();
  });

  const end = () => {
    fake.reply('GET jobs/two', { ...OTHER, state: 'succeeded' });
    fake.reply('GET runs/curves', MORE);
    bus.stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'two', state: 'succeeded' });
  };
  const steps = () => model.picture.others[0]?.curves?.series.loss.steps;
  const asked = (route: string) => fake.requests.map(addressOf).filter(each => each.startsWith(route));

  it('shows what is new of another run that goes on, to its end', async () => {
    const stop = model.follow();
    await model.choose(store.snapshot.jobs);
    expect(steps()).toEqual([1, 2]);
    expect(model.picture.comparison?.names).toEqual(['first', 'second']);
    end();
    await eventually(() => expect(steps()).toEqual([1, 2, 3]));
    expect(asked('runs/curves').at(-1)).toContain('after=2');
    await eventually(() => expect(asked('runs/compare')).toHaveLength(2));
    stop();
  });

  it.each([
    ['nobody compares', () => undefined],
    ['the view is hidden', () => (isHidden = true)]
  ])('asks nothing while %s', async (_, hide) => {
    const stop = model.follow();
    await model.choose(store.snapshot.jobs);
    if (hide() === undefined) {
      stop();
    }
    const before = asked('runs/').length;
    end();
    await store.refresh();
    expect(asked('runs/')).toHaveLength(before);
  });

  it('asks for the part that is zoomed into step by step, of all runs, where points are of several steps', async () => {
    fake.reply('GET runs/curves', { ...CURVES, series: { loss: { ...SERIES, stride: 2 } } });
    model.follow();
    await model.choose(store.snapshot.jobs);
    const before = asked('runs/curves').length;
    await model.setRange({ first: 1, last: 2 });
    expect(model.picture.details).toHaveLength(2);
    expect(
      asked('runs/curves')
        .slice(before)
        .map(each => /run=(\w+)/.exec(each)?.[1])
    ).toEqual(['one', 'two']);
    await model.setRange(null);
    expect(model.picture.details).toBeNull();
  });

  it('says why curves could not be had, and asks again for them with the next choice', async () => {
    fake.reply('GET runs/curves', { code: 'busy', message: 'Not now.', hint: '' }, 503);
    model.follow();
    await model.choose(store.snapshot.jobs);
    await eventually(() => expect(asked('runs/curves')).toHaveLength(1));
    fake.reply('GET runs/curves', CURVES);
    await model.choose(store.snapshot.jobs);
    await eventually(() => expect(steps()).toEqual([1, 2]));
    expect(model.picture.problem).toBeNull();
  });

  it('does not ask at once again for curves of an ended run that could not be had', async () => {
    fake.replyAll({ jobs: [{ ...OTHER, state: 'succeeded' }] });
    await store.refresh();
    fake.reply('GET runs/curves', { code: 'busy', message: 'Not now.', hint: '' }, 503);
    fake.reply('GET runs/compare', COMPARISON);
    model.follow();
    await model.choose(store.snapshot.jobs);
    await store.refresh();
    expect(asked('runs/curves')).toHaveLength(1);
    expect(model.picture.problem?.message).toBe('Not now.');
  });
});
