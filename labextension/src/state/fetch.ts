/** What is asked of the server in one look; of what is known already as little as possible. */

import type { IJob } from '../api/answers';
import type { Client } from '../api/client';
import { toProblem } from '../api/request';
import type { ISnapshot } from './snapshot';
import { withJob } from './snapshot';
import type { Part } from './stale';
import type { JobWatch } from './watch';

/** So many ids the server takes in one request. */
const IDS_AT_ONCE = 10;

/** The parts that are asked for, beside the jobs; the others as they are known. */
export async function fetchRest(
  client: Client,
  parts: ReadonlySet<Part>,
  known: ISnapshot
): Promise<Pick<ISnapshot, 'status' | 'models' | 'cache'>> {
  const [status, models, cache] = await Promise.all([
    parts.has('status') ? client.status() : known.status,
    parts.has('models') ? client.models() : known.models,
    parts.has('cache') ? client.cache() : known.cache
  ]);
  return { status, models, cache };
}

/**
 * Ask for some jobs, put them into the list, and tell those who watch.
 *
 * @param isFollowed - Whether more is asked for than the job itself: nobody sees the other views.
 */
export async function fetchSome(
  client: Client,
  watches: ReadonlyArray<JobWatch>,
  listed: ReadonlyArray<IJob>,
  ids: ReadonlyArray<string>,
  isFollowed: (watch: JobWatch) => boolean
): Promise<ReadonlyArray<IJob>> {
  const followed = watches.filter(isFollowed);
  // One that is shown by itself has metrics as well, and is told why it could not be asked for.
  const alone = ids.length === 1 ? ids : ids.filter(id => followed.some(watch => watch.id === id));
  const others = ids.filter(id => !alone.includes(id));
  let jobs = listed;
  for (const id of alone) {
    jobs = withJob(jobs, id, await fetchJob(client, id, watches, followed));
  }
  for (let index = 0; index < others.length; index += IDS_AT_ONCE) {
    const asked = others.slice(index, index + IDS_AT_ONCE);
    const found = await client.someJobs(asked);
    asked.forEach(id => (jobs = withJob(jobs, id, found.find(job => job.id === id) ?? null)));
  }
  for (const watch of watches) {
    watch.hear(jobs.find(job => job.id === watch.id));
  }
  return jobs;
}

/** One job, null where it is gone. */
async function fetchJob(
  client: Client,
  id: string,
  watches: ReadonlyArray<JobWatch>,
  followed: ReadonlyArray<JobWatch>
): Promise<IJob | null> {
  const isOfIt = (watch: JobWatch) => watch.id === id;
  try {
    const job = await client.job(id);
    await Promise.all(followed.filter(isOfIt).map(watch => watch.follow(job, client)));
    return job;
  } catch (error) {
    const problem = toProblem(error);
    watches.filter(isOfIt).forEach(watch => (watch.problem = problem));
    if (problem.code === 'job-not-found') {
      return null;
    }
    throw error;
  }
}
