/** What buttons do: one action at a time on each thing, and why the latest one failed. */

import type { ICached, IDownloadPlan, IJob, IProblem } from '../api/answers';
import type { Client, IDownloadOptions } from '../api/client';
import { toProblem } from '../api/request';
import { isActive } from '../domain/jobs';

/** The actions on models, copies and jobs. Each tells whether it succeeded. */
export class Actions {
  constructor(private readonly _options: Actions.IOptions) {}

  /** Why the latest action failed, null once dismissed or succeeded. */
  get problem(): IProblem | null {
    return this._failure?.problem ?? null;
  }

  /** Why the latest action failed, if it was one on this thing. */
  problemOf(key: string): IProblem | null {
    return this._failure?.key === key ? this._failure.problem : null;
  }

  /** Whether an action on this thing (a model's name, a slug, a job's id) is under way. */
  isPending(key: string): boolean {
    return this._pending.has(key);
  }

  /** Take note that a person has read why an action failed. */
  dismissProblem(): void {
    this._setFailure(null);
  }

  /** Download a model, or go on with its download. */
  async download(modelName: string, options?: IDownloadOptions): Promise<boolean> {
    return this._act(modelName, client => client.download(modelName, options));
  }

  /** What a download would do, null where that cannot be told: then the problem says why. */
  async plan(modelName: string, options?: IDownloadOptions): Promise<IDownloadPlan | null> {
    return this._ask(modelName, client => client.plan(modelName, options));
  }

  /** Ask a job to stop. */
  async stop(job: IJob): Promise<boolean> {
    return this._control(job, client => client.stop(job.id));
  }

  /** Let a running job wait. */
  async pause(job: IJob): Promise<boolean> {
    return this._control(job, client => client.pause(job.id));
  }

  /** Limit the speed of a running job, in bytes a second; null for no limit. */
  async limit(job: IJob, maxSpeed: number | null): Promise<boolean> {
    return this._control(job, client => client.limit(job.id, maxSpeed));
  }

  /** Go on with a job that waits or ended early. */
  async resume(job: IJob): Promise<boolean> {
    return this._control(job, client => client.resume(job.id));
  }

  /** Remove a job's record. */
  async forget(job: IJob): Promise<boolean> {
    return this._act(job.id, client => client.forget(job.id));
  }

  /** Remove the records of all jobs that have ended. */
  async forgetEnded(jobs: ReadonlyArray<IJob>): Promise<boolean> {
    const ended = jobs.filter(job => !isActive(job));
    return this._act(Actions.ENDED_JOBS, client => forgetAll(client, ended));
  }

  /** Keep a cached model when room is made, or keep it no longer. */
  async pin(entry: ICached, pinned: boolean): Promise<boolean> {
    return this._act(entry.slug, client => client.pin(entry.slug, pinned));
  }

  /** Read every byte of a cached model again. */
  async verify(entry: ICached): Promise<boolean> {
    return this._act(entry.slug, client => client.verify(entry.slug));
  }

  /** Fetch what is wrong with a cached model. */
  async repair(entry: ICached): Promise<boolean> {
    return this._act(entry.slug, client => client.repair(entry.slug));
  }

  /** Delete a cached model; another tool's copy, too: whoever calls this has asked. */
  async evict(entry: ICached): Promise<boolean> {
    const owner = entry.owner === 'qwen3ft' ? undefined : entry.owner;
    return this._act(entry.slug, client => client.evict(entry.slug, owner));
  }

  /** Delete every cached model. */
  async evictAll(): Promise<boolean> {
    return this._act(Actions.WHOLE_CACHE, client => client.evictAll());
  }

  private async _control(job: IJob, action: Action<void>): Promise<boolean> {
    return this._act(job.id, action, job.id);
  }

  private async _act(key: string, action: Action<void>, jobId?: string): Promise<boolean> {
    return (await this._ask(key, client => action(client).then(() => true), jobId)) ?? false;
  }

  /** Take an action unless it is under way; null where it failed, and then the problem says why. */
  private async _ask<T>(key: string, action: Action<T>, jobId?: string): Promise<T | null> {
    if (this._pending.has(key)) {
      return null;
    }
    this._pending.add(key);
    this._setFailure(null);
    try {
      return await action(this._options.client);
    } catch (error) {
      this._setFailure({ key, problem: toProblem(error) });
      return null;
    } finally {
      // Only now: until the new picture is there the button would offer the same action again.
      await this._options.refresh(jobId);
      this._pending.delete(key);
      this._options.onChange();
    }
  }

  private _setFailure(failure: IFailure | null): void {
    this._failure = failure;
    this._options.onChange();
  }

  private _failure: IFailure | null = null;
  private readonly _pending = new Set<string>();
}

type Action<T> = (client: Client) => Promise<T>;

interface IFailure {
  readonly key: string;
  readonly problem: IProblem;
}

/** A namespace for `Actions` statics. */
export namespace Actions {
  /** The key of actions on every cached model; no slug has this form. */
  export const WHOLE_CACHE = '*';

  /** The key of the action on every job that has ended; no id has this form. */
  export const ENDED_JOBS = '*jobs';

  /** What is asked, and who is told. */
  export interface IOptions {
    readonly client: Client;
    /** Look at one job again, or at everything. */
    readonly refresh: (jobId?: string) => Promise<void>;
    /** Called when something is under way, or no longer. */
    readonly onChange: () => void;
  }
}

/** Forget one after the other; one that cannot be forgotten keeps no other from it. */
async function forgetAll(client: Client, jobs: ReadonlyArray<IJob>): Promise<void> {
  let failure: unknown = null;
  for (const job of jobs) {
    try {
      await client.forget(job.id);
    } catch (error) {
      // What somebody else has forgotten meanwhile is as it should be.
      failure ??= toProblem(error).code === 'job-not-found' ? null : error;
    }
  }
  if (failure !== null) {
    throw failure;
  }
}
