/** What buttons do: one action at a time on each thing, and why the latest one failed. */

import type { ICached, IDownloadPlan, IJob, IProblem } from '../api/answers';
import type { IKept, IMovePlan } from '../api/cache';
import type { Client, IDownloadOptions } from '../api/client';
import { toProblem } from '../api/request';
import { FirstSteps } from './firststeps';
import { Updates } from './updates';

/** The actions on models, copies and jobs: what the client does, and around it what buttons have to know. */
export class Actions {
  constructor(private readonly _options: Actions.IOptions) {
    this.updates = new Updates(_options);
    this.firstSteps = new FirstSteps(_options);
  }

  /** Whether a newcomer is told what to do first. */
  readonly firstSteps: FirstSteps;

  /** Newer commits of what is cached. */
  readonly updates: Updates;

  /** Why the latest action failed, null once dismissed or succeeded, and where that is told beside what was asked. */
  get problem(): IProblem | null {
    return this._failure === null || this._toldBeside.has(this._failure.key) ? null : this._failure.problem;
  }

  /** Tell of failed actions on this thing only beside what was asked, until what is returned is called: it was read. */
  tellBeside(key: string): () => void {
    this._toldBeside.add(key);
    return () => {
      this._toldBeside.delete(key);
      this._setFailure(this._failure?.key === key ? null : this._failure);
    };
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
    return this.act(modelName, client => client.download(modelName, options));
  }

  /** What a download would do, null where that cannot be told: then the problem says why. */
  async plan(modelName: string, options?: IDownloadOptions): Promise<IDownloadPlan | null> {
    return this._ask(modelName, client => client.plan(modelName, options));
  }

  /** What a move of the cache would do, null where that cannot be told: then the problem says why. */
  async planMove(folder: string): Promise<IMovePlan | null> {
    return this._ask(Actions.MOVE, client => client.planMove(folder));
  }

  /** Move the cache. */
  async move(folder: string): Promise<boolean> {
    return this.act(Actions.MOVE, client => client.move(folder));
  }

  /** Remove a job's record, and its entry at PAI-DLC if that is to go, too. */
  async forget(job: IJob, isThere = false): Promise<boolean> {
    return this.act(job.id, client => client.forget(job.id, isThere));
  }

  /** Remove the records of all jobs that have ended. */
  async forgetEnded(): Promise<boolean> {
    return this.act(Actions.ENDED_JOBS, client => client.forgetEnded());
  }

  /**
   * Delete a cached model; another tool's copy, too: whoever calls this has asked.
   *
   * @returns What lay beside it and was kept; null where it failed.
   */
  async evict(entry: ICached): Promise<IKept | null> {
    const owner = entry.owner === 'qwen3ft' ? undefined : entry.owner;
    return this._change(entry.slug, client => client.evict(entry.slug, owner));
  }

  /** Delete every model that may go; the same is returned. */
  async evictAll(): Promise<IKept | null> {
    return this._change(Actions.WHOLE_CACHE, client => client.evictAll());
  }

  /** Change how a job goes on; only that job is looked at again. */
  async control(job: IJob, action: Action<void>): Promise<boolean> {
    return this.act(job.id, action, job.id);
  }

  /**
   * Change anything, and look at everything again.
   *
   * @param key - What is changed: a model's name, a slug, a job's id.
   * @param jobId - The job, where nothing else has to be looked at.
   */
  async act(key: string, action: Action<void>, jobId?: string): Promise<boolean> {
    return (await this._change(key, client => action(client).then(() => true), jobId)) ?? false;
  }

  private async _change<T>(key: string, action: Action<T>, jobId?: string): Promise<T | null> {
    return this._ask(key, async client => {
      try {
        return await action(client);
      } finally {
        // Until the new picture is there the button would offer the same action again.
        await this._options.refresh(jobId);
      }
    });
  }

  /** Take an action unless it is under way; null where it failed, and then the problem says why. */
  private async _ask<T>(key: string, action: Action<T>): Promise<T | null> {
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
  private readonly _toldBeside = new Set<string>();
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

  /** The key of a move of the whole cache; no slug has this form. */
  export const MOVE = '*move';

  /** What is asked, and who is told. */
  export interface IOptions {
    readonly client: Client;
    /** Look at one job again, or at everything. */
    readonly refresh: (jobId?: string) => Promise<void>;
    /** Called when something is under way, or no longer. */
    readonly onChange: () => void;
  }
}
