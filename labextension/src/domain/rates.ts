/** How fast sources have been, by the downloads that ended. */

import type { IJob } from '../api/answers';
import { isRecord, list, number, text } from '../api/read';

/** Less says nothing of a speed: the time went into asking. */
const LEAST_BYTES = 1_000_000;

/** What a source gave in the latest download that it had a part in. */
export interface IMeasured {
  readonly name: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Bytes a second. */
  readonly rate: number;
  /** When that download ended, in seconds since 1970. */
  readonly ended: number | null;
}

/**
 * The sources that downloads have measured, the fastest first.
 *
 * @param jobs - The newest first, as the server lists them.
 */
export function measuredRates(jobs: ReadonlyArray<IJob>): ReadonlyArray<IMeasured> {
  const found = new Map<string, IMeasured>();
  for (const { kind, state, result, ended } of jobs) {
    const seconds = number(result?.seconds) ?? 0;
    if (kind !== 'download' || state !== 'succeeded' || seconds <= 0) {
      continue;
    }
    for (const source of list(result?.sources).filter(isRecord)) {
      const [name, bytes] = [text(source.name), number(source.bytes) ?? 0];
      if (bytes >= LEAST_BYTES && !found.has(name)) {
        found.set(name, { name, bytes, seconds, rate: bytes / seconds, ended });
      }
    }
  }
  return [...found.values()].sort((one, other) => other.rate - one.rate);
}
