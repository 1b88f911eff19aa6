/** What the server answers of how a job's losses went. */

import type { components } from './openapi';
import type { Reader } from './read';
import { count, isRecord, json, number, object } from './read';

type Schemas = components['schemas'];

const parseAverage = object<Schemas['Average']>()('average', { first: number, last: number, over: count });

/** How a metric went: the mean of its first and of its last values, and over how many. */
export type IAverage = ReturnType<typeof parseAverage>;

/** Read the averages of a job's losses, by metric. */
export const parseAverages: Reader<Readonly<Record<string, IAverage>>> = value =>
  Object.fromEntries(
    Object.entries(json(value)).flatMap(([name, each]) =>
      isRecord(each) ? [[name, parseAverage(each)]] : []
    )
  );
