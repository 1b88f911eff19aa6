/** Tokens in a row that belong together. Pure. */

import type { IToken } from '../api/finetune';

/** Tokens by whether they are learned, in turns. */
export function runsOf(tokens: ReadonlyArray<IToken>): ReadonlyArray<ReadonlyArray<IToken>> {
  const runs: IToken[][] = [];
  for (const token of tokens) {
    const last = runs[runs.length - 1];
    if (last !== undefined && last[0].is_learned === token.is_learned) {
      last.push(token);
    } else {
      runs.push([token]);
    }
  }
  return runs;
}
