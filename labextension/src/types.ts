/**
 * What the server answers, and the one border where its JSON becomes typed values.
 *
 * Fields that name a thing (`id`, `model_name`) have to be there; everything else has a default, so that a panel
 * and a server of neighbouring versions understand each other.
 */

/** The states of a job. */
export type JobState =
  'queued' | 'running' | 'stopping' | 'succeeded' | 'failed' | 'stopped' | 'interrupted' | 'unknown';

const JOB_STATES: ReadonlyArray<JobState> = [
  'queued',
  'running',
  'stopping',
  'succeeded',
  'failed',
  'stopped',
  'interrupted'
];

/** A JSON object whose fields are not known yet. */
export type Json = Readonly<Record<string, unknown>>;

/** Where a job stands within its current phase. */
export interface IProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number | null;
  readonly unit: string;
  readonly rate: number | null;
  readonly eta_s: number | null;
  readonly detail: string;
}

/** What went wrong: a stable code, what failed, and what to do. */
export interface IProblem {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** One line of training metrics; `step` is always among them. */
export type Metrics = Readonly<Record<string, number>>;

/** What may be changed about a job while it runs. */
export interface IControls {
  readonly paused: boolean;
  /** Bytes a second, null where nothing limits it. */
  readonly max_speed: number | null;
}

/** Something long that runs, or ran, in a process of its own. */
export interface IJob {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly state: JobState;
  readonly progress: IProgress | null;
  readonly notices: ReadonlyArray<string>;
  readonly error: IProblem | null;
  readonly result: Json | null;
  readonly params: Json;
  readonly attempt: number;
  /** Unix seconds. */
  readonly created: number | null;
  readonly started: number | null;
  readonly updated: number | null;
  readonly ended: number | null;
  /** Null where its kind takes none. */
  readonly controls: IControls | null;
  /** The curve so far; only where one job is followed. */
  readonly metrics: ReadonlyArray<Metrics>;
}

/** Bytes of memory that a model needs, by what is done with it. */
export interface IMemory {
  readonly load: number | null;
  readonly lora: number | null;
  readonly full: number | null;
}

/** A model one can download: catalogued, cached, or both. */
export interface IModel {
  readonly model_name: string;
  readonly slug: string;
  readonly role: string;
  readonly badge: string;
  readonly kind: string;
  readonly note: string;
  readonly license: string;
  readonly parameters: number | null;
  readonly context: number | null;
  readonly download_bytes: number | null;
  readonly memory_bytes: IMemory;
  readonly cached: boolean;
  readonly verified: boolean;
  readonly size: number | null;
  readonly job_id: string | null;
  readonly catalogued: boolean;
}

/** Whose copy of a model it is: ours, a shared folder's, or one that another tool made. */
export type Owner = 'qwen3ft' | 'shared' | 'huggingface' | 'modelscope' | 'folder';

const OWNERS: ReadonlyArray<Owner> = ['qwen3ft', 'shared', 'huggingface', 'modelscope', 'folder'];

/** A model in the cache, or a copy of one that another tool keeps on this disk. */
export interface ICached {
  readonly model_name: string;
  readonly slug: string;
  readonly size: number;
  readonly path: string;
  readonly hub: string;
  readonly commit: string;
  readonly revision: string;
  readonly last_used: number | null;
  readonly pinned: boolean;
  readonly verified: boolean;
  readonly shared: boolean;
  readonly owner: Owner;
}

/** The whole cache. */
export interface ICache {
  readonly models: ReadonlyArray<ICached>;
  readonly total_size: number;
  readonly cache_dir: string;
  /** Bytes that our copies may take, null where nothing limits them. */
  readonly quota: number | null;
  /** Bytes free on the volume, null where it does not say. */
  readonly free: number | null;
  /** Bytes that our copies and begun downloads take; a file that two revisions share counts once. */
  readonly used: number;
  /** Bytes of them that are of begun downloads. */
  readonly incoming: number;
}

/** A setting of the server and where its value came from. */
export interface ISetting {
  readonly name: string;
  readonly value: string;
  readonly origin: string;
}

/** The server part itself. */
export interface IStatus {
  readonly version: string;
  readonly hub: string;
  readonly settings: ReadonlyArray<ISetting>;
  readonly warnings: ReadonlyArray<string>;
}

/** What was freed by a deletion. */
export interface IEvicted {
  readonly evicted: ReadonlyArray<string>;
  readonly freed: number;
}

/** A piece of a job's log, and where the next one starts. */
export interface ILogChunk {
  readonly text: string;
  readonly next_offset: number;
}

/** Points of a job's curve, and the number to ask for the next ones with. */
export interface IMetricsNews {
  readonly metrics: ReadonlyArray<Metrics>;
  readonly next_after: number;
}

/** The answer to a download request: a job, or that the model was there already. */
export type Download = { readonly job: IJob } | { readonly job: null };

/** The server answered something that is not what was asked for. */
export class BadAnswer extends Error {
  /** @param what - The field that is missing or of the wrong kind. */
  constructor(what: string) {
    super(`The server's answer has no usable ${what}.`);
    this.name = 'BadAnswer';
  }
}

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Read the answer of `GET /status`. */
export function parseStatus(value: unknown): IStatus {
  const json = record(value, 'status');
  return {
    version: text(json.version),
    hub: text(json.hub),
    settings: list(json.settings).filter(isRecord).map(parseSetting),
    warnings: list(json.warnings).map(text)
  };
}

/** Read the answer of `GET /models`. */
export function parseModels(value: unknown): ReadonlyArray<IModel> {
  return list(record(value, 'models').models).map(parseModel);
}

/** Read the answer of `GET /models/cache/list`. */
export function parseCache(value: unknown): ICache {
  const json = record(value, 'cache');
  const models = list(json.models).map(parseCached);
  const ours = models.filter(model => model.owner === 'qwen3ft');
  const incoming = number(json.incoming) ?? 0;
  return {
    models,
    total_size: number(json.total_size) ?? sizeOf(models),
    cache_dir: text(json.cache_dir),
    used: number(json.used) ?? sizeOf(ours) + incoming,
    quota: number(json.quota),
    free: number(json.free),
    incoming
  };
}

/** Read the answer of `GET /jobs`. */
export function parseJobs(value: unknown): ReadonlyArray<IJob> {
  return list(record(value, 'jobs').jobs).map(parseJob);
}

/** Read one job. */
export function parseJob(value: unknown): IJob {
  const json = record(value, 'job');
  return {
    id: name(json.id, 'job id'),
    kind: text(json.kind),
    title: text(json.title),
    state: JOB_STATES.find(state => state === json.state) ?? 'unknown',
    progress: isRecord(json.progress) ? parseProgress(json.progress) : null,
    notices: list(json.notices).map(text),
    error: isRecord(json.error) ? parseProblem(json.error) : null,
    result: isRecord(json.result) ? json.result : null,
    params: isRecord(json.params) ? json.params : {},
    attempt: number(json.attempt) ?? 1,
    created: number(json.created),
    started: number(json.started),
    updated: number(json.updated),
    ended: number(json.ended),
    controls: isRecord(json.controls) ? parseControls(json.controls) : null,
    metrics: list(json.metrics).filter(isRecord).map(parseMetrics)
  };
}

/** Read the answer of `POST /models/download`. */
export function parseDownload(value: unknown): Download {
  const json = record(value, 'download');
  return json.status === 'cached' ? { job: null } : { job: parseJob(json) };
}

/** Read the answer of `DELETE /models/cache/…`. */
export function parseEvicted(value: unknown): IEvicted {
  const json = record(value, 'deletion');
  return { evicted: list(json.evicted).map(text), freed: number(json.freed) ?? 0 };
}

/** Read the answer of `GET /jobs/{id}/log`. */
export function parseLog(value: unknown): ILogChunk {
  const json = record(value, 'log');
  return { text: text(json.text), next_offset: number(json.next_offset) ?? 0 };
}

/** Read the answer of `GET /jobs/{id}/metrics`. */
export function parseMetricsNews(value: unknown): IMetricsNews {
  const json = record(value, 'metrics');
  return {
    metrics: list(json.metrics).filter(isRecord).map(parseMetrics),
    next_after: number(json.next_after) ?? 0
  };
}

/** Read an error body. */
export function parseProblem(json: Json): IProblem {
  return { code: text(json.code), message: text(json.message), hint: text(json.hint) };
}

/** The text of a field that may be anything. */
export function text(value: unknown): string {
  if (typeof value === 'string') {
    return value;
  }
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** The finite number of a field that may be anything, else null. */
export function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The items of a field that may be anything. */
export function list(value: unknown): ReadonlyArray<unknown> {
  return Array.isArray(value) ? value : [];
}

/** The object that an answer, or a part of one, has to be. */
export function record(value: unknown, what: string): Json {
  if (!isRecord(value)) {
    throw new BadAnswer(what);
  }
  return value;
}

function parseSetting(json: Json): ISetting {
  return { name: text(json.name), value: text(json.value), origin: text(json.origin) };
}

function parseControls(json: Json): IControls {
  return { paused: json.paused === true, max_speed: number(json.max_speed) };
}

function parseProgress(json: Json): IProgress {
  return {
    phase: text(json.phase),
    done: number(json.done) ?? 0,
    total: number(json.total),
    unit: text(json.unit),
    rate: number(json.rate),
    eta_s: number(json.eta_s),
    detail: text(json.detail)
  };
}

function parseMetrics(json: Json): Metrics {
  const metrics: Record<string, number> = {};
  for (const [key, value] of Object.entries(json)) {
    const read = number(value);
    if (read !== null) {
      metrics[key] = read;
    }
  }
  return metrics;
}

function parseModel(value: unknown): IModel {
  const json = record(value, 'model');
  const memory = isRecord(json.memory_bytes) ? json.memory_bytes : {};
  return {
    model_name: name(json.model_name, 'model name'),
    slug: text(json.slug),
    role: text(json.role),
    badge: text(json.badge),
    kind: text(json.kind),
    note: text(json.note),
    license: text(json.license),
    parameters: number(json.parameters),
    context: number(json.context),
    download_bytes: number(json.download_bytes),
    memory_bytes: { load: number(memory.load), lora: number(memory.lora), full: number(memory.full) },
    cached: json.cached === true,
    verified: json.verified === true,
    size: number(json.size),
    job_id: text(json.job_id) || null,
    catalogued: json.catalogued !== false
  };
}

function sizeOf(models: ReadonlyArray<ICached>): number {
  return models.reduce((sum, model) => sum + model.size, 0);
}

function parseCached(value: unknown): ICached {
  const json = record(value, 'cached model');
  return {
    model_name: name(json.model_name, 'model name'),
    slug: name(json.slug, 'slug'),
    size: number(json.size) ?? 0,
    path: text(json.path),
    hub: text(json.hub),
    commit: text(json.commit),
    revision: text(json.revision),
    last_used: number(json.last_used),
    pinned: json.pinned === true,
    verified: json.verified === true,
    shared: json.shared === true,
    owner: parseOwner(json)
  };
}

/** What we do not know is not ours to delete. */
function parseOwner(json: Json): Owner {
  if (json.owner === undefined) {
    return json.shared === true ? 'shared' : 'qwen3ft';
  }
  return OWNERS.find(owner => owner === json.owner) ?? 'folder';
}

function name(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '') {
    throw new BadAnswer(what);
  }
  return value;
}
