/** The server's routes as functions. Reading counts as polling: it never keeps an idle server awake. */

import type { ServerConnection } from '@jupyterlab/services';

import { request, ServerError } from './request';
import type { Download, ICache, IEvicted, IJob, ILogChunk, IModel, IStatus } from './types';
import {
  parseCache,
  parseDownload,
  parseEvicted,
  parseJob,
  parseJobs,
  parseLog,
  parseModels,
  parseStatus
} from './types';

/** The last segment of the route that deletes every cached model. */
const EVERYTHING = 'all';

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

  /** One job with its metrics. */
  async job(id: string): Promise<IJob> {
    return parseJob(await request(this._settings, ['jobs', id], { isPoll: true }));
  }

  /** A piece of a job's log. */
  async log(id: string, offset: number): Promise<ILogChunk> {
    const query = { offset: String(offset) };
    return parseLog(await request(this._settings, ['jobs', id, 'log'], { query, isPoll: true }));
  }

  /** Start a download. */
  async download(modelName: string): Promise<Download> {
    const body = { model_name: modelName };
    return parseDownload(await request(this._settings, ['models', 'download'], { method: 'POST', body }));
  }

  /** Delete one cached model. */
  async evict(slug: string): Promise<IEvicted> {
    if (slug === EVERYTHING) {
      // A folder copied by hand may have that name; its route would empty the whole cache.
      throw new ServerError(0, { code: 'bad-name', message: slug, hint: '' });
    }
    return parseEvicted(await request(this._settings, ['models', 'cache', slug], { method: 'DELETE' }));
  }

  /** Delete every cached model. */
  async evictAll(): Promise<IEvicted> {
    return parseEvicted(await request(this._settings, ['models', 'cache', EVERYTHING], { method: 'DELETE' }));
  }

  /** Ask a job to stop. */
  async stop(id: string): Promise<IJob> {
    return parseJob(await request(this._settings, ['jobs', id, 'stop'], { method: 'POST' }));
  }

  /** Go on with a job that stopped, failed or was interrupted. */
  async resume(id: string): Promise<IJob> {
    return parseJob(await request(this._settings, ['jobs', id, 'resume'], { method: 'POST' }));
  }

  /** Remove a job's record. */
  async forget(id: string): Promise<void> {
    await request(this._settings, ['jobs', id], { method: 'DELETE' });
  }
}
