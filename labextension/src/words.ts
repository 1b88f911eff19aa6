/** The server speaks in codes and English; these are the words that people read. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes } from './format';
import { isPaused } from './jobs/lookup';
import { SERVER_MISSING, SERVER_UNREACHABLE } from './request';
import type { IJob, IProgress, JobState, Owner } from './types';
import { text } from './types';

/** What translates a text that has no plural. */
export type Translate = Pick<TranslationBundle, '__'>;

/** The language of the interface: the catalogue of strings and the locale of numbers. */
export interface ILanguage {
  readonly trans: TranslationBundle;
  readonly locale: string;
}

/** A hub's name as it writes itself. */
export function hubName(hub: string): string {
  switch (hub) {
    case 'modelscope':
      return 'ModelScope';
    case 'huggingface':
      return 'Hugging Face';
    default:
      return hub;
  }
}

/** Where bytes come from: a hub by its name, a mirror by its host, a place on this disk by whose it is. */
export function sourceName(source: string, trans: Translate): string {
  const mirror = /^mirror (.+)$/.exec(source);
  if (mirror) {
    return trans.__('mirror %1', mirror[1]);
  }
  switch (source) {
    case 'cache':
      return ownerWord('qwen3ft', trans);
    case 'Hugging Face cache':
      return ownerWord('huggingface', trans);
    case 'ModelScope cache':
      return ownerWord('modelscope', trans);
    case 'other folders':
      return ownerWord('folder', trans);
    case "another tool's partial file":
      return trans.__('What another tool began');
    default:
      return hubName(source);
  }
}

/** Whose copy of a model it is. */
export function ownerWord(owner: Owner, trans: Translate): string {
  switch (owner) {
    case 'qwen3ft':
      return trans.__('This cache');
    case 'shared':
      return trans.__('Shared');
    case 'huggingface':
      return trans.__('Hugging Face’s cache');
    case 'modelscope':
      return trans.__('ModelScope’s cache');
    case 'folder':
      return trans.__('A folder of yours');
  }
}

/** What a catalogued model is for. */
export function roleWord(role: string, trans: TranslationBundle): string {
  switch (role) {
    case 'quick experiments':
      return trans.__('Quick experiments');
    case 'recommended for production':
      return trans.__('Recommended for production');
    case 'higher quality':
      return trans.__('Higher quality');
    case 'practice':
      return trans.__('Practice: no network needed');
    default:
      return role;
  }
}

/** The kind of a catalogued model. */
export function kindWord(kind: string, trans: TranslationBundle): string {
  switch (kind) {
    case 'hybrid':
      return trans.__('Thinks on demand');
    case 'instruct':
      return trans.__('Instruct');
    case 'thinking':
      return trans.__('Thinking');
    case 'base':
      return trans.__('Base');
    case 'moe':
      return trans.__('Mixture of experts');
    default:
      return kind;
  }
}

/** What the catalogue remarks on a model; other remarks stay as they are. */
export function noteWords(note: string, trans: TranslationBundle): string {
  switch (note) {
    case 'Not trained to converse: a starting point for fine-tuning.':
      return trans.__('Not trained to converse: a starting point for fine-tuning.');
    case 'Mixture of experts: fast, but all 61 GB must fit. 4-bit loading leaves the experts as they are; LoRA trains the attention layers only.':
      return trans.__(
        'Mixture of experts: fast, but all 61 GB must fit. 4-bit loading leaves the experts as they are; LoRA trains the attention layers only.'
      );
    case 'Not trained to converse. Mixture of experts: all 61 GB must fit.':
      return trans.__('Not trained to converse. Mixture of experts: all 61 GB must fit.');
    case 'Needs several GPUs, or one of 80 GB to load it.':
      return trans.__('Needs several GPUs, or one of 80 GB to load it.');
    case 'Answers at once, without thinking first.':
      return trans.__('Answers at once, without thinking first.');
    case 'Comes with this package and is served on this machine.':
      return trans.__('Comes with this package and is served on this machine.');
    case 'Always thinks before it answers.':
      return trans.__('Always thinks before it answers.');
    default:
      return note;
  }
}

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
export function standingWord(job: IJob, trans: TranslationBundle): string {
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

/** How much of a commit tells it from others. */
const COMMIT_LENGTH = 8;

/** A revision and its commit, each where it is known and says something. */
export function revisionWords(revision: string, commit: string): string {
  const short = commit.slice(0, COMMIT_LENGTH);
  const named = /^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, COMMIT_LENGTH) : revision;
  return named === '' || commit.startsWith(named) ? short || named : `${named} ${short}`.trim();
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

/** A few words for an error code; the server's own message says the rest. */
export function problemTitle(code: string, trans: TranslationBundle): string {
  switch (code) {
    case SERVER_MISSING:
      return trans.__('The server part is missing');
    case SERVER_UNREACHABLE:
      return trans.__('The server does not answer');
    case 'http-401':
    case 'http-403':
    case 'forbidden':
      return trans.__('The server refused the request');
    case 'server-busy':
      return trans.__('The server is busy');
    case 'unknown-model':
      return trans.__('Qwen never published a model of that name');
    case 'bad-name':
      return trans.__('That is not a model name');
    case 'bad-input':
    case 'bad-request':
      return trans.__('The request is not understood');
    case 'bad-setting':
      return trans.__('A setting is wrong');
    case 'bad-config':
      return trans.__('The fine-tune settings are wrong');
    case 'bad-data':
      return trans.__('The training data cannot be read');
    case 'model-not-found':
      return trans.__('The hub has no such model');
    case 'access-denied':
      return trans.__('The hub denies access');
    case 'model-gated':
      return trans.__('The model\u2019s licence has to be accepted first');
    case 'revision-not-found':
      return trans.__('The hub has no such revision');
    case 'hub-unreachable':
      return trans.__('The hub cannot be reached');
    case 'hub-busy':
      return trans.__('The hub is busy');
    case 'bad-listing':
    case 'hub-error':
      return trans.__('The hub\u2019s answer cannot be used');
    case 'transfer-error':
    case 'source-failed':
      return trans.__('The download broke off');
    case 'wrong-bytes':
      return trans.__('The bytes received are not the ones published');
    case 'no-space':
      // The volume, or the quota.
      return trans.__('There is not enough room');
    case 'not-cached':
      return trans.__('The model is not in the cache');
    case 'cache-error':
      return trans.__('The cache cannot be used');
    case 'cache-damaged':
      return trans.__('Files in the cache are damaged');
    case 'cache-not-writable':
      return trans.__('The cache folder cannot be written');
    case 'model-in-use':
      return trans.__('A running job uses the model');
    case 'does-not-fit':
      return trans.__('The model does not fit into memory');
    case 'unsafe-model':
      return trans.__('The model is not safe to load');
    case 'missing-package':
      return trans.__('A package is missing');
    case 'job-not-found':
      return trans.__('The job is gone');
    case 'wrong-job-state':
      return trans.__('The job cannot do that now');
    case 'load-error':
      return trans.__('The model cannot be loaded');
    case 'stopped':
      return trans.__('The job was stopped');
    case 'job-error':
    case 'job-failed':
      return trans.__('The job failed');
    default:
      return trans.__('Something went wrong');
  }
}
