/** What a job is and does, in words: the server speaks in codes. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IJob, IProgress, JobState } from '../api/answers';
import { text } from '../api/read';
import { formatBytes } from './format';
import { isPaused } from './jobs';
import type { ILanguage } from './language';
import { revisionWords, sourceName } from './names';

/** A job's state. */
export function stateWord(state: JobState, trans: TranslationBundle): string {
  switch (state) {
    case 'queued':
      return trans.__('Queued');
    case 'running':
      return trans.__('Running');
    case 'stopping':
      return trans.__('Stopping');
    case 'succeeded':
      return trans.__('Done');
    case 'failed':
      return trans.__('Failed');
    case 'stopped':
      return trans.__('Stopped');
    case 'interrupted':
      return trans.__('Interrupted');
    default:
      return trans.__('Unknown');
  }
}

/** A job's state, or that it waits for somebody who lets it go on. */
export function statusWord(job: IJob, trans: TranslationBundle): string {
  return isPaused(job) ? trans.__('Paused') : stateWord(job.state, trans);
}

/** The phase a job is in. */
export function phaseWord(phase: string, trans: TranslationBundle): string {
  switch (phase) {
    case 'resolving':
      return trans.__('Asking the hub');
    case 'waiting':
      return trans.__('Waiting for another process');
    case 'checking':
      return trans.__('Checking files');
    case 'probing':
      return trans.__('Measuring the speed');
    case 'adopting':
      return trans.__('Taking what is on this disk');
    case 'transferring':
      return trans.__('Downloading');
    case 'paused':
      return trans.__('Paused');
    case 'verifying':
      return trans.__('Verifying');
    case 'committing':
      return trans.__('Putting into the cache');
    case 'moving':
      return trans.__('Moving the cache');
    case 'loading':
      return trans.__('Loading the model');
    case 'preparing':
      return trans.__('Preparing');
    case 'training':
      return trans.__('Training');
    case 'saving':
      return trans.__('Saving');
    default:
      return phase;
  }
}

/** What a job does, and to which model. */
export function jobTitle(job: IJob, trans: TranslationBundle): string {
  const name = jobModel(job);
  if (name === '') {
    return job.title || job.kind;
  }
  const revision = revisionWords(text(job.params.revision), '');
  const model = revision === '' ? name : `${name} (${revision})`;
  switch (job.kind) {
    case 'download':
      return job.params.update === true ? trans.__('Update %1', model) : trans.__('Download %1', model);
    case 'verify':
      return trans.__('Verify %1', model);
    case 'repair':
      return trans.__('Repair %1', model);
    case 'finetune':
      return trans.__('Fine-tune %1', model);
    default:
      return job.title || job.kind;
  }
}

/** The model that a job is about, "" where it does not say. */
export function jobModel(job: IJob): string {
  const config = job.params.config;
  if (typeof config === 'object' && config !== null && 'model' in config) {
    return text(config.model);
  }
  return text(job.params.model_name);
}

/** What the button says that lets a job go on: nothing is resumed of a download of which nothing arrived. */
export function resumeWord(job: IJob, trans: TranslationBundle): string {
  return hasArrived(job) ? trans.__('Resume') : trans.__('Try again');
}

/** The same, with the model: it begins with the same words. */
export function resumeWords(job: IJob, modelName: string, trans: TranslationBundle): string {
  return hasArrived(job)
    ? trans.__('Resume the download of %1', modelName)
    : trans.__('Try again to download %1', modelName);
}

function hasArrived(job: IJob): boolean {
  return job.kind !== 'download' || (job.progress !== null && job.progress.done > 0);
}

/** How much of a phase is done: `12 MB of 1.5 GB`, `40 of 120 steps`. */
export function amountWords(progress: IProgress, { trans, locale }: ILanguage): string {
  const { done, total, unit } = progress;
  if (unit === 'bytes') {
    if (total === null) {
      return done > 0 ? formatBytes(done, locale) : '';
    }
    return trans.__('%1 of %2', formatBytes(done, locale), formatBytes(total, locale));
  }
  if (total === null) {
    return done > 0 ? String(done) : '';
  }
  switch (unit) {
    case 'steps':
      return trans.__('%1 of %2 steps', done, total);
    case 'files':
      return trans.__('%1 of %2 files', done, total);
    case 'rows':
      return trans.__('%1 of %2 rows', done, total);
    default:
      return trans.__('%1 of %2', done, total);
  }
}

const CONNECTIONS = /^connections: (\d+ from .+)$/;
const CONNECTIONS_FROM = /^(\d+) from (.+)$/;
const FILE_FROM = /^(.+) from the (.+)$/;

/** The detail of a phase, in the language of the interface where it tells of sources. */
export function detailWords(detail: string, trans: TranslationBundle): string {
  const parts = CONNECTIONS.exec(detail)?.[1].split(', ') ?? [];
  const found = parts.map(part => CONNECTIONS_FROM.exec(part));
  if (found.length > 0 && !found.includes(null)) {
    const total = found.reduce((sum, match) => sum + Number(match?.[1]), 0);
    const sources = found.map(match => `${sourceName(match?.[2] ?? '', trans)} ${match?.[1]}`);
    return trans._n('%1 connection: %2', '%1 connections: %2', total, sources.join(' · '));
  }
  const file = FILE_FROM.exec(detail);
  return file ? trans.__('%1 from %2', file[1], sourceName(file[2], trans)) : detail;
}
