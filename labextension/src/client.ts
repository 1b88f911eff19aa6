/** The server's routes as functions. Reading counts as polling: it never keeps an idle server awake. */

import type { ServerConnection } from '@jupyterlab/services';

import type { IDownloadPlan } from './plan/plan';
import { parseDownloadPlan } from './plan/plan';
import { request, ServerError } from './request';
import type {
  Download,
  ICache,
  IEvicted,
  IJob,
  ILogChunk,
  IMetricsNews,
  IModel,
  IStatus,
  Owner
} from './types';
import {
  parseCache,
  parseDownload,
  parseEvicted,
  parseJob,
  parseJobs,
  parseLog,
  parseMetricsNews,
  parseModels,
  parseStatus
} from './types';

/** The last segment of the route that deletes every cached model. */
const EVERYTHING = 'all';

/** How a download differs from one of the hub's default branch. */
export interface IDownloadOptions {
  /** A branch, tag or commit. */
  readonly revision?: string;
  /** Ask the hub whether there is something newer than what is cached. */
  readonly update?: boolean;
  /** Use another tool's copy where it is, once it is checked. */
  readonly in_place?: boolean;
}

/** Typed access to our server part. Every method throws `ServerError` or `BadAnswer`. */
export class Client {
  /** @param _settings - The application's server settings. */
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  /** The server part's version, settings and warnings. */
  async status(): Promise<IStatus> {
    return parseStatus(await request(this._settings, ['status'], { isPoll: true }));
  }

  /** The catalogue, joined with the cache and running downloads. */
  async models(): Promise<ReadonlyArray<IModel>> {
    return parseModels(await request(this._settings, ['models'], { isPoll: true }));
  }

  /** What is cached. */
  async cache(): Promise<ICache> {
    return parseCache(await request(this._settings, ['models', 'cache', 'list'], { isPoll: true }));
  }

  /** Every job, newest first. */
  async jobs(): Promise<ReadonlyArray<IJob>> {
    return parseJobs(await request(this._settings, ['jobs'], { isPoll: true }));
  }

  /** One job without its metrics. */
  async job(id: string): Promise<IJob> {
    const query = { metrics: 'false' };
    return parseJob(await request(this._settings, ['jobs', id], { query, isPoll: true }));
  }

  /** What is new in a job's metrics. */
  async metrics(id: string, after: number): Promise<IMetricsNews> {
    const query = { after: String(after) };
    return parseMetricsNews(await request(this._settings, ['jobs', id, 'metrics'], { query, isPoll: true }));
  }

  /** A piece of a job's log. */
  async log(id: string, offset: number): Promise<ILogChunk> {
    const query = { offset: String(offset) };
    return parseLog(await request(this._settings, ['jobs', id, 'log'], { query, isPoll: true }));
  }

  /** Start a download. */
  async download(modelName: string, options: IDownloadOptions = {}): Promise<Download> {
    const body = { model_name: modelName, ...options };
    return parseDownload(await request(this._settings, ['models', 'download'], { method: 'POST', body }));
  }

  /** What a download would do; nothing is changed. */
  async plan(modelName: string, options: IDownloadOptions = {}): Promise<IDownloadPlan> {
    const body = { model_name: modelName, ...options, dry_run: true };
    return parseDownloadPlan(await request(this._settings, ['models', 'download'], { method: 'POST', body }));
  }

  /** Keep a cached model when room is made, or keep it no longer. */
  async pin(slug: string, pinned: boolean): Promise<void> {
    await this._change(slug, ['pin'], pinned ? 'POST' : 'DELETE');
  }

  /** Read every byte of a cached model again. */
  async verify(slug: string): Promise<IJob> {
    return parseJob(await this._change(slug, ['verify'], 'POST'));
  }

  /** Fetch what is wrong with a cached model. */
  async repair(slug: string): Promise<IJob> {
    return parseJob(await this._change(slug, ['repair'], 'POST'));
  }

  /**
   * Delete one cached model.
   *
   * @param owner - Named for another tool's copy, which is deleted in no other way.
   */
  async evict(slug: string, owner?: Owner): Promise<IEvicted> {
    return parseEvicted(await this._change(slug, [], 'DELETE', owner && { owner }));
  }

  /** Delete every cached model. */
  async evictAll(): Promise<IEvicted> {
    return parseEvicted(await request(this._settings, ['models', 'cache', EVERYTHING], { method: 'DELETE' }));
  }

  /** Ask a job to stop. */
  async stop(id: string): Promise<IJob> {
    return parseJob(await request(this._settings, ['jobs', id, 'stop'], { method: 'POST' }));
  }

  /** Let a running job wait. */
  async pause(id: string): Promise<IJob> {
    return parseJob(await request(this._settings, ['jobs', id, 'pause'], { method: 'POST' }));
  }

  /**
   * Limit the speed of a running job.
   *
   * @param maxSpeed - Bytes a second, null for no limit.
   */
  async limit(id: string, maxSpeed: number | null): Promise<IJob> {
    const query = { max_speed: String(maxSpeed ?? 0) };
    return parseJob(await request(this._settings, ['jobs', id, 'limit'], { method: 'POST', query }));
  }

  /** Go on with a job that waits, stopped, failed or was interrupted. */
  async resume(id: string): Promise<IJob> {
    return parseJob(await request(this._settings, ['jobs', id, 'resume'], { method: 'POST' }));
  }

  /** Remove a job's record. */
  async forget(id: string): Promise<void> {
    await request(this._settings, ['jobs', id], { method: 'DELETE' });
  }

  private async _change(
    slug: string,
    verb: ReadonlyArray<string>,
    method: 'POST' | 'DELETE',
    query?: Readonly<Record<string, string>>
  ): Promise<unknown> {
    if (slug === EVERYTHING) {
      // A folder copied by hand may have that name; its route would empty the whole cache.
      throw new ServerError(0, { code: 'bad-name', message: slug, hint: '' });
    }
    return request(this._settings, ['models', 'cache', slug, ...verb], { method, query });
  }
}
