import { parseCurves } from '../api/runs';
import type { ISeries } from '../api/runs';
import { extent, joinCurves, nearest, rowsOf, smoothed, zoomed } from '../domain/curves';

const series = (steps: number[], { stride = 1, start = 0 } = {}): ISeries => ({
  stride,
  start,
  steps,
  means: steps.map(step => step / 10),
  lows: stride > 1 ? steps.map(step => step / 10 - 1) : [],
  highs: stride > 1 ? steps.map(step => step / 10 + 1) : []
});

const curves = (loss: ISeries, version = 'a') =>
  parseCurves({ version, last_step: loss.steps[loss.steps.length - 1], series: { loss } });

describe('curves that grow', () => {
  it('take what is new in the place of the points that it begins with', () => {
    const known = curves(series([4, 8, 10], { stride: 4 }));
    const joined = joinCurves(known, curves(series([12, 13], { stride: 4, start: 2 })));
    expect(joined?.series.loss.steps).toEqual([4, 8, 12, 13]);
    expect(joined?.series.loss.highs).toHaveLength(4);
    expect(joined?.last_step).toBe(13);
  });

  it('keep a metric of which nothing is new, and take one that is new', () => {
    const known = curves(series([1, 2]));
    const joined = joinCurves(known, { ...known, series: { eval_loss: series([2]) } });
    expect(Object.keys(joined?.series ?? {})).toEqual(['loss', 'eval_loss']);
  });

  it('are the very same where nothing is new: the last point is told again', () => {
    const known = curves(series([4, 8, 10], { stride: 4 }));
    expect(joinCurves(known, curves(series([10], { stride: 4, start: 2 })))).toBe(known);
    expect(joinCurves(known, curves(series([11], { stride: 4, start: 2 })))).not.toBe(known);
  });

  it.each([
    ['another version', curves(series([3], { start: 2 }), 'b')],
    ['another stride', curves(series([4], { stride: 2, start: 1 }))],
    ['a gap', curves(series([9], { start: 7 }))]
  ])('are asked for anew after %s', (_, news) => {
    expect(joinCurves(curves(series([1, 2])), news)).toBeNull();
  });
});

describe('smoothing', () => {
  it('leaves a flat curve as it is from its first value on', () => {
    smoothed([3, 3, 3], 0.9).forEach(value => expect(value).toBeCloseTo(3));
  });

  it('changes nothing without a weight', () => {
    expect(smoothed([1, 5, 2], 0)).toEqual([1, 5, 2]);
  });

  it('forgets as fast where a point is of several steps', () => {
    const [, last] = smoothed([1, 0], 0.5, 2);
    expect(last).toBeCloseTo(0.2); // (0.75 · 0.25) / (1 - 0.5⁴)
  });
});

describe('a curve', () => {
  it('is read at the nearest step', () => {
    expect([0, 14, 16, 99].map(step => nearest([10, 20, 30], step))).toEqual([0, 0, 1, 2]);
    expect(nearest([], 5)).toBe(-1);
  });

  it('is a table of few steps, the first and the last among them', () => {
    const loss = series(Array.from({ length: 1000 }, (_, index) => index + 1));
    const rows = rowsOf([loss, series([500])], { first: 1, last: 1000 }, 11);
    expect(rows).toHaveLength(11);
    expect([rows[0].step, rows[10].step]).toEqual([1, 1000]);
    expect(rows[0].values).toEqual([0.1, null]);
  });

  it('is a table of the part that is looked at', () => {
    const rows = rowsOf([series([1, 2, 3, 4])], { first: 2, last: 3 }, 100);
    expect(rows.map(({ step }) => step)).toEqual([2, 3]);
  });

  it('is zoomed around its middle, and never beyond its ends', () => {
    const whole = { first: 1, last: 101 };
    expect(zoomed(whole, 0.5, whole)).toEqual({ first: 26, last: 76 });
    expect(zoomed({ first: 26, last: 76 }, 4, whole)).toEqual(whole);
  });

  it('has no extent without values', () => {
    expect(extent([series([])])).toBeNull();
    expect(extent([series([]), series([3, 9]), series([1, 4])])).toEqual({ first: 1, last: 9 });
  });
});
