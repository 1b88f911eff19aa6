/** A list that is asked for again and again: what has not changed is neither sent nor read a second time. */

import type { Reader } from './read';
import type { IAnswer } from './request';

/** Asks with the tag of the answer that is known. */
export type AskAgain = (knownTag: string) => Promise<IAnswer>;

/** The latest answer of one route, and what was read from it. */
export class KnownList<T> {
  /**
   * @param _read - Makes a value of an answer.
   * @param _keep - Puts into a new value what of the one before is equal.
   */
  constructor(
    private readonly _read: Reader<T>,
    private readonly _keep: (before: T, now: T) => T = (_, now) => now
  ) {}

  /** The value; the very same one while the server has nothing else to say. */
  async ask(again: AskAgain): Promise<T> {
    const known = this._known;
    const answer = await again(known?.tag ?? '');
    if (answer.isKnown && known !== null) {
      return known.value;
    }
    const read = this._read(answer.body);
    const value = known === null ? read : this._keep(known.value, read);
    this._known = { tag: answer.tag, value };
    return value;
  }

  private _known: { readonly tag: string; readonly value: T } | null = null;
}

/**
 * A list with the items of the one before where they are equal: what shows an item need not draw it again.
 *
 * @param keyOf - What tells an item from others of its list.
 */
export function withKnownItems<T>(
  before: ReadonlyArray<T>,
  now: ReadonlyArray<T>,
  keyOf: (item: T) => string
): ReadonlyArray<T> {
  const known = new Map(before.map(item => [keyOf(item), item]));
  return now.map(item => {
    const same = known.get(keyOf(item));
    return same !== undefined && JSON.stringify(same) === JSON.stringify(item) ? same : item;
  });
}
