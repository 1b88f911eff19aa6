/** Which jobs came after a fine-tune. Pure. */

import type { IJob } from '../api/answers';
import { text } from '../api/read';

const KINDS: ReadonlySet<string> = new Set(['merge', 'export', 'evaluate', 'push']);

/**
 * The jobs that made something of a run's result, or of what others made of it; the newest first, as the server lists them.
 *
 * @param jobs - All of them.
 * @param jobId - The fine-tune.
 * @param folder - Its output folder; empty where nobody knows it.
 */
export function followersOf(jobs: ReadonlyArray<IJob>, jobId: string, folder: string): ReadonlyArray<IJob> {
  const after = jobs.filter(job => KINDS.has(job.kind));
  const sources = new Set([jobId, folder].filter(name => name !== ''));
  // From the oldest on: a push may be of what an export has made.
  return [...after]
    .reverse()
    .filter(job => {
      const isOurs = sources.has(text(job.params.source));
      const made = text(job.result?.output_dir) || text(job.params.output_dir);
      if (isOurs && made !== '') {
        sources.add(made);
      }
      return isOurs;
    })
    .reverse();
}
