/** The server's routes as functions. */

import type { ICache, IDownloadPlan, IJob, IMachine, IModel, IStatus, Owner } from './answers';
import {
  parseCache,
  parseDownloadPlan,
  parseJob,
  parseJobs,
  parseLog,
  parseMachine,
  parseMetrics,
  parseModels,
  parseStatus
} from './answers';
import type { IKept, IMovePlan } from './cache';
import { parseKept, parseMovePlan } from './cache';
import type { ICard, IDetails, IFoundDataset, INamed, INews } from './details';
import { parseCard, parseDetails, parseFoundDataset, parseNamed, parseNews } from './details';
import { KnownList, withKnownItems } from './list';
import type { components, paths } from './openapi';
import type { Json } from './read';
import type { IAnswer, IRequestOptions, IServer } from './request';
import { request, ServerError } from './request';
import type { MethodOf, Names } from './routes';
import { segmentsOf } from './routes';
import type { IComparison, ICurvePart, ICurves, IForeseen, IPushPlan, IRun } from './runs';
import { parseComparison, parseCurves, parseDefaults, parseForeseen, parsePushPlan, parseRun } from './runs';

/** How a download differs from one of the hub's default branch. */
export type IDownloadOptions = Pick<
  components['schemas']['DownloadRequest'],
  'revision' | 'update' | 'in_place'
>;

/** What can be done with the result of a fine-tune on this machine. */
export type Afterwards = 'merge' | 'export' | 'evaluate';

/** What a request says. */
type IRequestBody = NonNullable<IRequestOptions['body']>;

/** Typed access to our server part. Every method throws `ServerError` or `BadAnswer`. */
export class Client {
  /** @param _server - The server, and the language in which it answers. */
  constructor(private readonly _server: IServer) {}

  /** The server part's version, settings and warnings. */
  async status(): Promise<IStatus> {
    return this._again(this._status, '/status');
  }

  /** The memory that a fine-tune can have on the server's machine. */
  async machine(): Promise<IMachine> {
    return parseMachine(await this._ask('get', '/machine'));
  }

  /** The catalogue, joined with the cache and running downloads. */
  async models(): Promise<ReadonlyArray<IModel>> {
    return this._again(this._models, '/models');
  }

  /** What is cached. */
  async cache(): Promise<ICache> {
    return this._again(this._cache, '/models/cache/list');
  }

  /** Every job, newest first. */
  async jobs(): Promise<ReadonlyArray<IJob>> {
    return this._again(this._jobs, '/jobs');
  }

  /** Some jobs without their metrics; those that are gone are left out. */
  async someJobs(ids: ReadonlyArray<string>): Promise<ReadonlyArray<IJob>> {
    return parseJobs(await this._ask('get', '/jobs', {}, { query: { ids: ids.join(',') } }));
  }

  /** One job without its metrics. */
  async job(id: string): Promise<IJob> {
    return parseJob(await this._ask('get', '/jobs/{id}', { id }, { query: { metrics: 'false' } }));
  }

  /** What is new in a job's metrics. */
  async metrics(id: string, after: number): Promise<ReturnType<typeof parseMetrics>> {
    const query = { after: String(after) };
    return parseMetrics(await this._ask('get', '/jobs/{id}/metrics', { id }, { query }));
  }

  /** A piece of a job's log. */
  async log(id: string, offset: number): Promise<ReturnType<typeof parseLog>> {
    return parseLog(await this._ask('get', '/jobs/{id}/log', { id }, { query: { offset: String(offset) } }));
  }

  /** The end of a job's log: so many of its last bytes. */
  async logEnd(id: string, bytes: number): Promise<ReturnType<typeof parseLog>> {
    return parseLog(await this._ask('get', '/jobs/{id}/log', { id }, { query: { end: String(bytes) } }));
  }

  /** What a fine-tune's folder tells: its config, what it came to, its report card. */
  async run(run: string): Promise<IRun> {
    return parseRun(await this._ask('get', '/runs/report', {}, { query: { run } }));
  }

  /** The curves of a fine-tune, or a part of them. */
  async curves(run: string, part: ICurvePart = {}): Promise<ICurves> {
    const query = Object.entries(part).map(([name, value]) => [name, String(value)]);
    return parseCurves(
      await this._ask('get', '/runs/curves', {}, { query: { run, ...Object.fromEntries(query) } })
    );
  }

  /** Fine-tunes beside each other. */
  async compare(runs: ReadonlyArray<string>): Promise<IComparison> {
    return parseComparison(await this._ask('get', '/runs/compare', {}, { query: { runs: runs.join(',') } }));
  }

  /** What each field of a fine-tune is where nobody gives it. */
  async defaults(): Promise<Json> {
    return parseDefaults(await this._ask('get', '/finetune/schema'));
  }

  /** What a merge, an export or an evaluation would be; nothing is started. */
  async foresee(what: Afterwards, body: IRequestBody): Promise<IForeseen> {
    const asked = { ...body, dry_run: true };
    return parseForeseen(await this._ask('post', `/runs/${what}`, {}, { body: asked }));
  }

  /** Merge, export or evaluate. */
  async start(what: Afterwards, body: IRequestBody): Promise<IJob> {
    return parseJob(await this._ask('post', `/runs/${what}`, {}, { body }));
  }

  /** What a push would upload; nothing is sent. */
  async planPush(body: IRequestBody): Promise<IPushPlan> {
    return parsePushPlan(await this._ask('post', '/runs/push', {}, { body }));
  }

  /** Upload: whoever calls this has been told what, where to and who will see it, and has said yes. */
  async push(body: IRequestBody): Promise<IJob> {
    return parseJob(await this._ask('post', '/runs/push', {}, { body: { ...body, confirm: true } }));
  }

  /** Start a download. */
  async download(modelName: string, options: IDownloadOptions = {}): Promise<void> {
    await this._ask('post', '/models/download', {}, { body: { model_name: modelName, ...options } });
  }

  /** What a download would do; nothing is changed. */
  async plan(modelName: string, options: IDownloadOptions = {}): Promise<IDownloadPlan> {
    const body = { model_name: modelName, ...options, dry_run: true };
    return parseDownloadPlan(await this._ask('post', '/models/download', {}, { body }));
  }

  /** The model that a name or an address means. */
  async readName(text: string): Promise<INamed> {
    return parseNamed(await this._ask('get', '/models/name', {}, { query: { text } }));
  }

  /** By which name a data set is downloaded that is named without its hub: the hubs are asked. */
  async findDataset(name: string, signal?: AbortSignal): Promise<IFoundDataset> {
    return parseFoundDataset(await this._ask('get', '/datasets/find', {}, { query: { name }, signal }));
  }

  /** The files of a model, as the cache has them; else, where it may be asked, as a hub lists them. */
  async details(modelName: string, ask: boolean, signal?: AbortSignal): Promise<IDetails> {
    const query = { model_name: modelName, ask: String(ask) };
    return parseDetails(await this._ask('get', '/models/details', {}, { query, signal }));
  }

  /** The card of a model: the cached one, else that of a hub. */
  async card(modelName: string, signal?: AbortSignal): Promise<ICard> {
    const query = { model_name: modelName, ask: 'true' };
    return parseCard(await this._ask('get', '/models/card', {}, { query, signal }));
  }

  /** What hubs said within a day of newer commits. */
  async knownUpdates(): Promise<ReadonlyArray<INews>> {
    return parseNews(await this._ask('get', '/models/updates'));
  }

  /** Ask the hubs for newer commits. */
  async checkUpdates(signal: AbortSignal): Promise<ReadonlyArray<INews>> {
    return parseNews(await this._ask('post', '/models/updates', {}, { signal }));
  }

  /** Keep a cached model when room is made, or keep it no longer. */
  async pin(slug: string, pinned: boolean): Promise<void> {
    await this._ask(pinned ? 'post' : 'delete', '/models/cache/{slug}/pin', { slug });
  }

  /** Read every byte of a cached model again. */
  async verify(slug: string): Promise<void> {
    await this._ask('post', '/models/cache/{slug}/verify', { slug });
  }

  /** Fetch what is wrong with a cached model. */
  async repair(slug: string): Promise<void> {
    await this._ask('post', '/models/cache/{slug}/repair', { slug });
  }

  /**
   * Delete one cached model.
   *
   * @param owner - Named for another tool's copy, which is deleted in no other way.
   * @returns What lay in its folder and is not of the model: it was kept.
   */
  async evict(slug: string, owner?: Owner): Promise<IKept> {
    const query = owner && { owner };
    return parseKept(await this._ask('delete', '/models/cache/{slug}', { slug }, { query }));
  }

  /** Delete every cached model; returns what lay in their folders and was kept. */
  async evictAll(): Promise<IKept> {
    return parseKept(await this._ask('delete', '/models/cache/all'));
  }

  /** What a move of the cache would do; nothing is changed. */
  async planMove(folder: string): Promise<IMovePlan> {
    return parseMovePlan(
      await this._ask('post', '/models/cache/move', {}, { body: { folder, dry_run: true } })
    );
  }

  /** Move the cache: whoever calls this has shown what that does. */
  async move(folder: string): Promise<void> {
    await this._ask('post', '/models/cache/move', {}, { body: { folder } });
  }

  /** Ask a job to stop. */
  async stop(id: string): Promise<void> {
    await this._ask('post', '/jobs/{id}/stop', { id });
  }

  /** Let a running job wait. */
  async pause(id: string): Promise<void> {
    await this._ask('post', '/jobs/{id}/pause', { id });
  }

  /**
   * Limit the speed of a running job.
   *
   * @param maxSpeed - Bytes a second, null for no limit.
   */
  async limit(id: string, maxSpeed: number | null): Promise<void> {
    await this._ask('post', '/jobs/{id}/limit', { id }, { query: { max_speed: String(maxSpeed ?? 0) } });
  }

  /** Go on with a job that waits, stopped, failed or was interrupted. */
  async resume(id: string): Promise<void> {
    await this._ask('post', '/jobs/{id}/resume', { id });
  }

  /** Remove the records of all jobs that have ended. */
  async forgetEnded(): Promise<void> {
    await this._ask('delete', '/jobs');
  }

  /** Remove a job's record, and its entry at PAI-DLC if that is to go, too. */
  async forget(id: string, isThere = false): Promise<void> {
    await this._ask('delete', '/jobs/{id}', { id }, { query: isThere ? { there: 'true' } : undefined });
  }

  private _again<T>(known: KnownList<T>, path: keyof paths): Promise<T> {
    return known.ask(knownTag => this._request('get', path, {}, { knownTag }));
  }

  private async _ask<Path extends keyof paths>(
    method: MethodOf<Path>,
    path: Path,
    names: Names = {},
    options: IRequestOptions = {}
  ): Promise<unknown> {
    return (await this._request(method, path, names, options)).body;
  }

  private _request(
    method: NonNullable<IRequestOptions['method']>,
    path: keyof paths,
    names: Names,
    options: IRequestOptions
  ): Promise<IAnswer> {
    const segments = segmentsOf(path, names);
    return segments === null
      ? Promise.reject(new ServerError(0, { code: 'bad-name', message: names.slug, hint: '' }))
      : request(this._server, segments, { method, ...options });
  }

  private readonly _cache = new KnownList(parseCache, (before, now) => ({
    ...now,
    models: withKnownItems(before.models, now.models, each => each.path || each.slug)
  }));
  private readonly _jobs = new KnownList(parseJobs, (before, now) =>
    withKnownItems(before, now, each => each.id)
  );
  private readonly _models = new KnownList(parseModels, (before, now) =>
    withKnownItems(before, now, each => each.model_name)
  );
  private readonly _status = new KnownList(parseStatus);
}
