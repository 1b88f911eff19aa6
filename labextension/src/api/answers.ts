/**
 * What the server answers. Its shape is described in openapi.yaml, from which `openapi.ts` is made.
 *
 * Fields that name a thing (`id`, `model_name`) have to be there; everything else has a default, so that a panel
 * and a server of neighbouring versions understand each other.
 */

import type { components } from './openapi';
import { parseAverages } from './averages';
import { parseRanks } from './ranks';
import type { Known, Reader } from './read';
import {
  count,
  each,
  flag,
  isRecord,
  json,
  list,
  maybe,
  needed,
  number,
  numbers,
  object,
  oneOf,
  text
} from './read';

type Schemas = components['schemas'];

// What openapi.yaml names, as the compiler sees to.
const STATES: Known<Schemas['Job']['state']> = {
  queued: 1,
  running: 1,
  stopping: 1,
  succeeded: 1,
  failed: 1,
  stopped: 1,
  interrupted: 1
};
const OWNERS: Known<Schemas['Cached']['owner']> = {
  qwen3ft: 1,
  shared: 1,
  huggingface: 1,
  modelscope: 1,
  folder: 1
};
const ACTIONS: Known<PlannedFile['action']> = { kept: 1, adopted: 1, resumed: 1, fetched: 1, removed: 1 };

type PlannedFile = Schemas['DownloadPlan']['files'][number];

/** Read an error: a stable code, what failed, and what to do. */
export const parseProblem = object<Schemas['Error']>()('error', { code: text, message: text, hint: text });

/** What went wrong. */
export type IProblem = ReturnType<typeof parseProblem>;

const parseProgress = object<Schemas['Progress']>()('progress', {
  phase: text,
  phase_words: text,
  done: count,
  total: number,
  unit: text,
  unit_words: text,
  rate: number,
  eta_s: number,
  detail: text
});

/** Where a job stands within its current phase. */
export type IProgress = ReturnType<typeof parseProgress>;

/** What may be changed about a job while it runs. */
export type IControls = ReturnType<typeof parseControls>;

const parseControls = object<NonNullable<Schemas['Job']['controls']>>()('controls', {
  paused: flag,
  max_speed: number
});

/** One line of training metrics; `step` is always among them. */
export type Metrics = Readonly<Record<string, number>>;

/** Read the answer of `GET /jobs/{id}/metrics`: what is new in a curve, and what to ask with for more. */
export const parseMetrics = object<Schemas['Metrics']>()('metrics', {
  metrics: each(numbers),
  next_after: count
});

/** Read one job. */
export const parseJob = object<Schemas['Job']>()('job', {
  id: needed('job id'),
  kind: text,
  title: text,
  state: oneOf(STATES, 'unknown'),
  state_words: text,
  progress: maybe(parseProgress),
  notices: each(text),
  error: maybe(parseProblem),
  result: maybe(json),
  averages: parseAverages,
  ranks: maybe(parseRanks),
  params: json,
  attempt: (value: unknown) => number(value) ?? 1,
  created: number,
  started: number,
  updated: number,
  ended: number,
  controls: maybe(parseControls)
});

/** Something long that runs, or ran, in a process of its own. */
export type IJob = ReturnType<typeof parseJob>;

/** The states of a job. */
export type JobState = IJob['state'];

const jobList = object<{ readonly jobs: ReadonlyArray<IJob> }>()('jobs', { jobs: each(parseJob) });

/** Read the answer of `GET /jobs`. */
export const parseJobs: Reader<ReadonlyArray<IJob>> = value => jobList(value).jobs;

type Memory = Readonly<Record<string, number | null>>;

const parseMemory = (value: unknown) =>
  object<Memory>()('memory', { load: number, qlora: number, lora: number, full: number })(json(value));

const parseModel = object<Schemas['Model']>()('model', {
  model_name: needed('model name'),
  slug: text,
  role: text,
  role_words: text,
  badge: text,
  kind: text,
  kind_words: text,
  note: text,
  license: text,
  parameters: number,
  context: number,
  download_bytes: number,
  memory_bytes: parseMemory,
  cached: flag,
  verified: flag,
  size: number,
  catalogued: (value: unknown) => value !== false
});

/** A model one can download: catalogued, cached, or both. */
export type IModel = ReturnType<typeof parseModel>;

const modelList = object<{ readonly models: ReadonlyArray<IModel> }>()('models', {
  models: each(parseModel)
});

/** Read the answer of `GET /models`. */
export const parseModels: Reader<ReadonlyArray<IModel>> = value => modelList(value).models;

/** What we do not know is not ours to delete. */
const parseOwner = oneOf(OWNERS, 'folder');

/** Whose copy of a model it is: ours, a shared folder's, or one that another tool made. */
export type Owner = ReturnType<typeof parseOwner>;

const cached = object<Schemas['Cached']>()('cached model', {
  model_name: needed('model name'),
  slug: needed('slug'),
  size: count,
  path: text,
  /** Empty where the file browser does not show the folder. */
  browser_path: text,
  hub: text,
  commit: text,
  revision: text,
  last_used: number,
  pinned: flag,
  verified: flag,
  shared: flag,
  owner: parseOwner,
  owner_words: text
});

/** A model in the cache, or a copy of one that another tool keeps on this disk. */
export type ICached = ReturnType<typeof cached>;

/** Older servers list only what is ours or shared, and name no owner. */
const parseCached: Reader<ICached> = value => {
  const entry = cached(value);
  return isRecord(value) && value.owner === undefined
    ? { ...entry, owner: entry.shared ? 'shared' : 'qwen3ft' }
    : entry;
};

const cacheList = object<Schemas['CacheList']>()('cache', {
  models: each(parseCached),
  cache_dir: text,
  quota: number,
  free: number,
  incoming: count
});

const sizeOf = (models: ReadonlyArray<ICached>) => models.reduce((sum, model) => sum + model.size, 0);

/** Read the answer of `GET /models/cache/list`. */
export const parseCache = (value: unknown) => {
  const cache = cacheList(value);
  const ours = cache.models.filter(model => model.owner === 'qwen3ft');
  const { total_size, used } = json(value);
  return {
    ...cache,
    total_size: number(total_size) ?? sizeOf(cache.models),
    /** Bytes that our copies and begun downloads take; a file that two revisions share counts once. */
    used: number(used) ?? sizeOf(ours) + cache.incoming
  };
};

/** The whole cache. */
export type ICache = ReturnType<typeof parseCache>;

const parseSetting = object<Schemas['Status']['settings'][number]>()('setting', {
  name: text,
  value: text,
  origin: text
});

/** By the name of a package, whether it is installed; older servers say nothing. */
const parseTraining: Reader<Readonly<Record<string, boolean>>> = value =>
  Object.fromEntries(Object.entries(json(value)).map(([name, each]) => [name, each !== false]));

/** Read the answer of `GET /status`. */
export const parseStatus = object<Schemas['Status']>()('status', {
  version: text,
  hub: text,
  python: text,
  training: parseTraining,
  settings: each((value: unknown) => parseSetting(json(value))),
  warnings: each(text)
});

/** The server part itself. */
export type IStatus = ReturnType<typeof parseStatus>;

/** Read the answer of `GET /machine`. */
export const parseMachine = object<Schemas['Machine']>()('machine', { name: text, total_bytes: count });

/** The memory that a fine-tune can have where the server runs. */
export type IMachine = ReturnType<typeof parseMachine>;

/** Read the answer of `GET /jobs/{id}/log`: a piece of the log, and where the next one starts. */
export const parseLog = object<Schemas['Log']>()('log', { text, next_offset: count });

const parseFile = object<PlannedFile>()('file of the plan', {
  path: text,
  size: count,
  action: oneOf(ACTIONS, 'unknown'),
  source: text,
  bytes_to_fetch: count
});

/** A file of the model, and what a download would do with it. */
export type IPlannedFile = ReturnType<typeof parseFile>;

/** A model that could make room: an object, or a pair of name and bytes. */
const parseEvictable = (value: unknown) => {
  const [name, bytes] = isRecord(value) ? [value.name, value.bytes] : list(value);
  return { name: text(name), size: count(bytes) };
};

type DownloadPlan = Omit<Schemas['DownloadPlan'], 'evictable'> & {
  readonly evictable: ReadonlyArray<ReturnType<typeof parseEvictable>>;
};

/** Read the answer of `POST /models/download` to a dry run. */
export const parseDownloadPlan = object<DownloadPlan>()('plan', {
  model_name: text,
  hub: text,
  revision: text,
  commit: text,
  files: each(parseFile),
  bytes_to_fetch: count,
  bytes_reused: count,
  room_bytes: count,
  free_bytes: number,
  missing_bytes: count,
  over_quota_bytes: count,
  to_evict: each(text),
  evictable: each(parseEvictable),
  rate: number,
  seconds: number,
  sources: each(text)
});

/** What a download would do, before its first byte. */
export type IDownloadPlan = ReturnType<typeof parseDownloadPlan>;
