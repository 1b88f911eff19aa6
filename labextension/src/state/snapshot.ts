/** One picture of the server, and how it becomes the next one. Pure. */

import type { ICache, IJob, IMachine, IModel, IProblem, IStatus } from '../api/answers';
import { isActive, isPaused } from '../domain/jobs';

/** One consistent picture of the server; replaced as a whole, never changed. */
export interface ISnapshot {
  /** Null until the first answer. */
  readonly status: IStatus | null;
  /** Null until it is known; a driver may take seconds to tell. */
  readonly machine: IMachine | null;
  readonly models: ReadonlyArray<IModel>;
  readonly cache: ICache | null;
  /** The newest first. */
  readonly jobs: ReadonlyArray<IJob>;
  /** Why the picture is not fresh. */
  readonly problem: IProblem | null;
}

/** Before the first look. */
export const NOTHING: ISnapshot = {
  status: null,
  machine: null,
  models: [],
  cache: null,
  jobs: [],
  problem: null
};

/** The list with what is known of one of its jobs now: where it was, or by its age; without it where it is gone. */
export function withJob(jobs: ReadonlyArray<IJob>, id: string, job: IJob | null): ReadonlyArray<IJob> {
  if (job !== null && !jobs.some(each => each.id === id)) {
    const index = jobs.findIndex(each => (each.created ?? 0) < (job.created ?? 0));
    return index < 0 ? [...jobs, job] : [...jobs.slice(0, index), job, ...jobs.slice(index)];
  }
  return jobs.flatMap(each => (each.id !== id ? [each] : job === null ? [] : [job]));
}

/** The jobs that started, or went from one state to another or to waiting. */
export function changedSince(before: ReadonlyArray<IJob>, now: ReadonlyArray<IJob>): ReadonlyArray<IJob> {
  const states = new Map(before.map(job => [job.id, stateOf(job)]));
  return now.filter(job => stateOf(job) !== (states.get(job.id) ?? (isActive(job) ? null : stateOf(job))));
}

/** The jobs of each model, the newest first. */
export function jobsByModel(jobs: ReadonlyArray<IJob>): ReadonlyMap<string, ReadonlyArray<IJob>> {
  const found = new Map<string, IJob[]>();
  for (const job of jobs) {
    const name = String(job.params.model_name);
    found.set(name, [...(found.get(name) ?? []), job]);
  }
  return found;
}

function stateOf(job: IJob): string {
  return isPaused(job) ? 'paused' : job.state;
}
