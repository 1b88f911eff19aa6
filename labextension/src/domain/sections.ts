/** How the sections of the panel share its room. Pure. */

import { json, list, number } from '../api/read';

/** Models, cache and jobs, in this order. */
const COUNT = 3;

/** What is kept of the sections from page to page. */
export interface ISections {
  /** Whether each is folded. */
  readonly folded: ReadonlyArray<boolean>;
  /** How much room each has, of all of it; empty while nobody has moved a border. */
  readonly sizes: ReadonlyArray<number>;
}

/** Read what was kept; what is missing, or of another version, is as at first. */
export function parseSections(value: unknown): ISections {
  const kept = json(value);
  const folded = list(kept.folded).map(each => each === true);
  const sizes = list(kept.sizes).map(each => number(each) ?? -1);
  const areSizes = sizes.length === COUNT && sizes.every(size => size >= 0) && sizes.some(size => size > 0);
  return { folded: folded.length === COUNT ? folded : [], sizes: areSizes ? sizes : [] };
}
