/** What the server answers of processes that work together. */

import type { components } from './openapi';
import type { Known } from './read';
import { count, each, number, numbers, object, oneOf, text } from './read';

type Schemas = components['schemas'];

const HEALTHS: Known<Schemas['Rank']['health']> = {
  starting: 1,
  running: 1,
  waiting: 1,
  late: 1,
  gone: 1,
  done: 1
};

const parseRank = object<Schemas['Rank']>()('rank', {
  rank: count,
  host: text,
  device: text,
  health: oneOf(HEALTHS, 'unknown'),
  health_words: text,
  work: number,
  busy: number
});

/** Read the processes that work together for a job. */
export const parseRanks = object<Schemas['Ranks']>()('ranks', { metrics: numbers, ranks: each(parseRank) });

/** The processes that work together for a job. */
export type IRanks = ReturnType<typeof parseRanks>;
