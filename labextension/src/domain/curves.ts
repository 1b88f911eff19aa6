/** Curves as charts draw them: put together of parts, smoothed, and read at a step. Pure. */

import type { ICurves, ISeries } from '../api/runs';

/** Steps from one to another. */
export interface IRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Put what is new of curves behind what is known of them.
 *
 * @returns The very same where nothing is new; null where what is known holds no more.
 */
export function joinCurves(known: ICurves, news: ICurves): ICurves | null {
  const fits = ([name, part]: readonly [string, ISeries]): boolean => {
    const before = known.series[name];
    return before === undefined
      ? part.start === 0
      : before.stride === part.stride && part.start <= before.steps.length;
  };
  if (known.version !== news.version || !Object.entries(news.series).every(fits)) {
    return null;
  }
  const joined = Object.entries(news.series).map(
    ([name, part]) => [name, join(known.series[name], part)] as const
  );
  return joined.every(([name, one]) => one === known.series[name])
    ? known
    : { ...news, series: { ...known.series, ...Object.fromEntries(joined) } };
}

function join(known: ISeries | undefined, { start, ...part }: ISeries): ISeries {
  if (known !== undefined && endsWith(known, start, part)) {
    return known;
  }
  const kept = <T>(before: ReadonlyArray<T> = [], after: ReadonlyArray<T>) => [
    ...before.slice(0, start),
    ...after
  ];
  return {
    stride: part.stride,
    start: 0,
    steps: kept(known?.steps, part.steps),
    means: kept(known?.means, part.means),
    lows: kept(known?.lows, part.lows),
    highs: kept(known?.highs, part.highs)
  };
}

/** Whether these are the last points of a curve: its last one is told again, for it may have changed. */
function endsWith(known: ISeries, start: number, part: Omit<ISeries, 'start'>): boolean {
  return (['steps', 'means', 'lows', 'highs'] as const).every(name => {
    const end = known[name].slice(start);
    return end.length === part[name].length && end.every((value, index) => value === part[name][index]);
  });
}

/**
 * The exponential mean of a curve, without the bias of its beginning.
 *
 * @param weight - How much of a value the next step keeps: 0 for none, below 1.
 * @param stride - Steps that a value is of: a curve of few points is as smooth as it was of all.
 */
export function smoothed(values: ReadonlyArray<number>, weight: number, stride = 1): ReadonlyArray<number> {
  const kept = Math.pow(weight, stride);
  let mean = 0;
  let known = 0;
  return values.map(value => {
    mean = kept * mean + (1 - kept) * value;
    known = kept * known + (1 - kept);
    return mean / known;
  });
}

/** The place of the step that is nearest; -1 where there is none. Steps rise. */
export function nearest(steps: ReadonlyArray<number>, step: number): number {
  let low = 0;
  let high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : high < 0 ? -1 : low;
}

/** A row of the table of values: a step, and what was measured there. */
export interface IRow {
  readonly step: number;
  readonly values: ReadonlyArray<number | null>;
}

/** The table of several curves: at most `limit` steps of a part, evenly spread, the first and the last among them. */
export function rowsOf(
  series: ReadonlyArray<ISeries>,
  { first, last }: IRange,
  limit: number
): ReadonlyArray<IRow> {
  const found = new Map<number, (number | null)[]>();
  series.forEach((one, column) =>
    one.steps.forEach((step, index) => {
      if (step >= first && step <= last) {
        const row = found.get(step) ?? series.map(() => null);
        row[column] = one.means[index];
        found.set(step, row);
      }
    })
  );
  const steps = [...found.keys()].sort((a, b) => a - b);
  const every = (steps.length - 1) / (limit - 1);
  const shown =
    steps.length <= limit
      ? steps
      : Array.from({ length: limit }, (_, index) => steps[Math.round(index * every)]);
  return shown.map(step => ({ step, values: found.get(step) ?? [] }));
}

/** The steps that curves are of, null where there are none. */
export function extent(curves: ReadonlyArray<ISeries>): IRange | null {
  const some = curves.filter(({ steps }) => steps.length > 0);
  return some.length === 0
    ? null
    : {
        first: Math.min(...some.map(({ steps }) => steps[0])),
        last: Math.max(...some.map(({ steps }) => steps[steps.length - 1]))
      };
}

/** A range made smaller or larger around its middle, within what there is. */
export function zoomed({ first, last }: IRange, factor: number, whole: IRange): IRange {
  const middle = (first + last) / 2;
  const half = Math.max(2, ((last - first) * factor) / 2);
  return {
    first: Math.max(whole.first, Math.floor(middle - half)),
    last: Math.min(whole.last, Math.ceil(middle + half))
  };
}
