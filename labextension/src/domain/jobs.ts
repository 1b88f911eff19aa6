/** What the list of jobs tells of a model. Pure; jobs are the newest first, as the server lists them. */

import type { ICached, IControls, IJob, JobState } from '../api/answers';
import { isRecord, list, text } from '../api/read';
import { PRACTICE_MODEL } from './models';

const ACTIVE_STATES: ReadonlySet<JobState> = new Set<JobState>(['queued', 'running', 'stopping']);

/** Of which ends of jobs people may want to be notified. */
export const NOTICES = ['all', 'failures', 'none'] as const;

export type Notices = (typeof NOTICES)[number];

/** The kinds of jobs that read or write the bytes of a cached model. */
const MAINTENANCE_KINDS: ReadonlySet<string> = new Set(['verify', 'repair']);

/** Enough digits of a commit to find it by. */
const DIGITS = /^[0-9a-f]{7,40}$/;

/** Whether a job's process still has something to do. */
export function isActive(job: IJob): boolean {
  return ACTIVE_STATES.has(job.state);
}

/** What has something to do before what has ended, and first of that what a restart of the server broke off. */
export function runningFirst(jobs: ReadonlyArray<IJob>): ReadonlyArray<IJob> {
  const rank = (job: IJob) => (isActive(job) ? 0 : job.state === 'interrupted' ? 1 : 2);
  return [...jobs].sort((one, other) => rank(one) - rank(other));
}

/** Whether a job has, or had, an entry in the list of Alibaba Cloud PAI-DLC. */
export function isOnDlc({ params }: IJob): boolean {
  return isRecord(params.config) && params.config.launcher === 'pai-dlc';
}

/** Whether a job waits for somebody who lets it go on. */
export function isPaused(job: IJob): boolean {
  return isActive(job) && job.controls?.paused === true;
}

/** What may be changed about a job now; null where it takes no changes, or no more of them. */
export function controlsOf(job: IJob): IControls | null {
  return isActive(job) && job.state !== 'stopping' ? job.controls : null;
}

/**
 * The download of a model that is under way, or that ended badly and can be resumed.
 *
 * One of another revision, or from other places than usual, is not what the model's own button stands for.
 */
export function downloadOf(jobs: ReadonlyArray<IJob>, modelName: string): IJob | null {
  const latest = jobs.find(
    job => job.kind === 'download' && job.params.model_name === modelName && isUsual(job)
  );
  return latest && latest.state !== 'succeeded' ? latest : null;
}

function isUsual({ params }: IJob): boolean {
  return text(params.revision) === '' && list(params.sources).length === 0 && params.in_place !== true;
}

/** The latest download that ended, of a model that takes a hub. */
export function latestDownload(jobs: ReadonlyArray<IJob>): IJob | undefined {
  return jobs.find(
    job => job.kind === 'download' && !isActive(job) && job.params.model_name !== PRACTICE_MODEL
  );
}

/** The job that verifies or repairs a cached model now. */
export function maintenanceOf(jobs: ReadonlyArray<IJob>, entry: ICached): IJob | null {
  return jobs.find(job => isActive(job) && MAINTENANCE_KINDS.has(job.kind) && isOn(job, entry)) ?? null;
}

/** The latest job that looked at a cached model's bytes, if it found damage that nothing has mended since. */
export function damageJobOf(jobs: ReadonlyArray<IJob>, entry: ICached): IJob | null {
  const latest = jobs.find(
    job => job.state === 'succeeded' && (MAINTENANCE_KINDS.has(job.kind) || isFetch(job)) && isOn(job, entry)
  );
  return latest && damageFound(latest).length > 0 ? latest : null;
}

/** Whether a job compared a model with what the hub lists; one that found it cached looked at no byte. */
function isFetch(job: IJob): boolean {
  return job.kind === 'download' && job.result?.was_cached !== true;
}

/** The files that a job found missing or wrong. */
export function damageFound(job: IJob): ReadonlyArray<string> {
  return job.result?.ok === false ? [...list(job.result.missing), ...list(job.result.wrong)].map(text) : [];
}

/** Whether a job is about this copy: one that names no revision is about the model's main folder. */
function isOn(job: IJob, entry: ICached): boolean {
  const revision = text(job.params.revision);
  const isSame = revision === '' ? !isBeside(entry) : isNamed(entry, revision);
  return isSame && entry.owner === 'qwen3ft' && job.params.model_name === entry.model_name;
}

/** Whether a branch, tag, commit or the first digits of a commit mean this copy. */
function isNamed(entry: ICached, revision: string): boolean {
  return (
    [entry.revision, entry.commit].includes(revision) ||
    (DIGITS.test(revision) && entry.commit.startsWith(revision))
  );
}

/** Whether this is a revision beside the one in the model's main folder. */
export function isBeside(entry: ICached): boolean {
  return entry.slug.includes('@');
}
