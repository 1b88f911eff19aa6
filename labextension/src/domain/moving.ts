/** A move of the cache in words, and what came of one. Pure. */

import type { ICache, IJob } from '../api/answers';
import type { IMovePlan } from '../api/cache';
import { text } from '../api/read';
import { formatBytes } from './format';
import { isActive } from './jobs';
import type { ILanguage, Pair } from './language';

/** The move that is under way; null where there is none. */
export function movingOf(jobs: ReadonlyArray<IJob>): IJob | null {
  return jobs.find(job => job.kind === 'move' && isActive(job)) ?? null;
}

/** Where the cache went that this server still looks for at its old place; empty where it went nowhere. */
export function movedTo(jobs: ReadonlyArray<IJob>, cache: ICache): string {
  const latest = jobs.find(job => job.kind === 'move' && job.state === 'succeeded');
  return latest !== undefined && text(latest.result?.source) === cache.cache_dir
    ? text(latest.result?.target)
    : '';
}

/** A plan: pairs of a label and a value. */
export function movePairs(plan: IMovePlan, { trans, locale }: ILanguage): ReadonlyArray<Pair> {
  const bytes = (value: number) => formatBytes(value, locale);
  const count = plan.folders.length;
  const rows: ReadonlyArray<Pair> = [
    [trans.__('From'), plan.source],
    [trans.__('To'), plan.target],
    [trans.__('Moves'), trans._n('%1 folder, %2', '%1 folders, %2', count, bytes(plan.size_bytes))],
    [
      trans.__('Copied'),
      plan.bytes_to_copy > 0
        ? trans.__('%1; each file is read again before the old one is deleted', bytes(plan.bytes_to_copy))
        : trans.__('Nothing: the folders are renamed')
    ],
    [trans.__('Free there'), plan.free_bytes === null ? '' : bytes(plan.free_bytes)],
    [trans.__('Not moved'), plan.stays.join(', ')]
  ];
  return rows.filter(([, value]) => value !== '');
}
