/** What the panel knows: a snapshot of the server, kept fresh while somebody looks at it. */

import { VDomModel } from '@jupyterlab/ui-components';
import type { Event } from '@jupyterlab/services';
import { Poll, Throttler } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Client, IDownloadOptions } from '../api/client';
import { downloadOf, isActive, isPaused } from '../domain/jobs';
import { HUB_UNREACHABLE, PRACTICE_MODEL } from '../domain/models';
import type { IDownloadPlan } from '../api/plan';
import { SERVER_MISSING } from '../api/request';
import { toProblem } from '../api/problem';
import type { ICache, ICached, IJob, IModel, IProblem, IStatus } from '../api/types';

/** The Jupyter Event by which the server part says that a job or the cache changed. */
export const CHANGE_SCHEMA_ID = 'https://schema.jupyter.org/qwen3ft_jupyter/change/v1';

/** While a job runs its numbers are asked for this often. */
const BUSY_INTERVAL_MS = 1000;

/** A poll that fails waits longer each time, up to this. */
const MAX_INTERVAL_MS = 5 * 60 * 1000;

/** Events come in bursts; one look answers a burst. */
const EVENT_LIMIT_MS = 300;

/** One consistent picture of the server; replaced as a whole, never changed. */
export interface ISnapshot {
  /** Null until the first answer. */
  readonly status: IStatus | null;
  readonly models: ReadonlyArray<IModel>;
  readonly cache: ICache | null;
  readonly jobs: ReadonlyArray<IJob>;
  /** Why the picture is not fresh. */
  readonly problem: IProblem | null;
}

const NOTHING: ISnapshot = { status: null, models: [], cache: null, jobs: [], problem: null };

/** The state of the panel and the actions that its buttons take. */
export class PanelModel extends VDomModel {
  constructor(options: PanelModel.IOptions) {
    super();
    this._client = options.client;
    this._intervalMs = options.intervalMs;
    this._events = options.events;
    this._poll = new Poll<void>({
      auto: false,
      name: 'qwen3ft-jupyter:panel',
      factory: () => this._look(),
      frequency: { interval: options.intervalMs, backoff: true, max: MAX_INTERVAL_MS },
      standby: () => (options.isHidden() ? true : 'when-hidden')
    });
    this._isHidden = options.isHidden;
    this._throttler = new Throttler(() => this._lookSoon(), {
      limit: EVENT_LIMIT_MS,
      edge: 'trailing'
    });
    this._events?.connect(this._onEvent, this);
  }

  /** The latest picture. */
  get snapshot(): ISnapshot {
    return this._snapshot;
  }

  /** Where the server is asked. */
  get client(): Client {
    return this._client;
  }

  /** Why the latest action of a button failed, null once dismissed or succeeded. */
  get actionProblem(): IProblem | null {
    return this._actionProblem;
  }

  /** Emitted with a job that started, or went from one state to another or to waiting, since the last look. */
  get jobChanged(): ISignal<this, IJob> {
    return this._jobChanged;
  }

  /** Whether a cached model that is not in the catalogue is listed with the models. */
  get showUncatalogued(): boolean {
    return this._showUncatalogued;
  }
  set showUncatalogued(value: boolean) {
    if (value !== this._showUncatalogued) {
      this._showUncatalogued = value;
      this.stateChanged.emit();
    }
  }

  /** Milliseconds between two looks at a server where nothing runs. */
  get intervalMs(): number {
    return this._intervalMs;
  }
  set intervalMs(value: number) {
    this._intervalMs = value;
    this._tune();
  }

  /** Whether an action on this thing (a model's name, a slug, a job's id) is under way. */
  isPending(key: string): boolean {
    return this._pending.has(key);
  }

  /** The download of a model that is under way, or that ended badly and can be resumed. */
  downloadOf(modelName: string): IJob | null {
    return downloadOf(this._snapshot.jobs, modelName);
  }

  /** Whether a download of a model is under way, or asked for. */
  isDownloading(modelName: string): boolean {
    const job = this.downloadOf(modelName);
    return this.isPending(modelName) || (job !== null && isActive(job));
  }

  /** The practice model where it is of use: its row, unless it is on this disk already. */
  get practiceOffer(): IModel | null {
    const entry = this._snapshot.models.find(each => each.model_name === PRACTICE_MODEL);
    return entry !== undefined && !entry.cached ? entry : null;
  }

  /** Whether the latest download that ended did so because no hub could be reached. */
  get isHubUnreachable(): boolean {
    const latest = this._snapshot.jobs.find(
      job => job.kind === 'download' && !isActive(job) && job.params.model_name !== PRACTICE_MODEL
    );
    return [latest?.error, this._actionProblem].some(problem => problem?.code === HUB_UNREACHABLE);
  }

  /** Look at everything now; called when the panel is shown and by its refresh button. */
  async refresh(): Promise<void> {
    this._isStale = true;
    await this._lookNow();
  }

  /** Download a model, or go on with its download. */
  async download(modelName: string, options?: IDownloadOptions): Promise<boolean> {
    return this._act(modelName, () => this._client.download(modelName, options));
  }

  /** What a download would do, null where that cannot be told: then the problem says why. */
  async plan(modelName: string, options?: IDownloadOptions): Promise<IDownloadPlan | null> {
    return this._ask(modelName, () => this._client.plan(modelName, options));
  }

  /** Ask a job to stop. */
  async stop(job: IJob): Promise<boolean> {
    return this._act(job.id, () => this._client.stop(job.id));
  }

  /** Let a running job wait. */
  async pause(job: IJob): Promise<boolean> {
    return this._act(job.id, () => this._client.pause(job.id));
  }

  /** Limit the speed of a running job, in bytes a second; null for no limit. */
  async limit(job: IJob, maxSpeed: number | null): Promise<boolean> {
    return this._act(job.id, () => this._client.limit(job.id, maxSpeed));
  }

  /** Go on with a job that waits or ended early. */
  async resume(job: IJob): Promise<boolean> {
    return this._act(job.id, () => this._client.resume(job.id));
  }

  /** Remove a job's record. */
  async forget(job: IJob): Promise<boolean> {
    return this._act(job.id, () => this._client.forget(job.id));
  }

  /** Remove the records of all jobs that have ended. */
  async forgetEnded(): Promise<boolean> {
    const ended = this._snapshot.jobs.filter(job => !isActive(job));
    return this._act(PanelModel.ENDED_JOBS, () => this._forgetAll(ended));
  }

  /** Keep a cached model when room is made, or keep it no longer. */
  async pin(entry: ICached, pinned: boolean): Promise<boolean> {
    return this._act(entry.slug, () => this._client.pin(entry.slug, pinned));
  }

  /** Read every byte of a cached model again. */
  async verify(entry: ICached): Promise<boolean> {
    return this._act(entry.slug, () => this._client.verify(entry.slug));
  }

  /** Fetch what is wrong with a cached model. */
  async repair(entry: ICached): Promise<boolean> {
    return this._act(entry.slug, () => this._client.repair(entry.slug));
  }

  /** Delete a cached model; another tool's copy, too: whoever calls this has asked. */
  async evict(entry: ICached): Promise<boolean> {
    const owner = entry.owner === 'qwen3ft' ? undefined : entry.owner;
    return this._act(entry.slug, () => this._client.evict(entry.slug, owner));
  }

  /** Delete every cached model. */
  async evictAll(): Promise<boolean> {
    return this._act(PanelModel.WHOLE_CACHE, () => this._client.evictAll());
  }

  /** Take note that a person has read why an action failed. */
  dismissProblem(): void {
    this._setActionProblem(null);
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._events?.disconnect(this._onEvent, this);
    this._throttler.dispose();
    this._poll.dispose();
    super.dispose();
    Signal.clearData(this);
  }

  private async _act(key: string, action: () => Promise<unknown>): Promise<boolean> {
    return (await this._ask(key, () => action().then(() => true))) ?? false;
  }

  /** Take an action unless it is under way; null where it failed, and then the problem says why. */
  private async _ask<T>(key: string, action: () => Promise<T>): Promise<T | null> {
    if (this._pending.has(key)) {
      return null;
    }
    this._pending.add(key);
    this._setActionProblem(null);
    try {
      return await action();
    } catch (error) {
      this._setActionProblem(toProblem(error));
      return null;
    } finally {
      // Only now: until the new picture is there the button would offer the same action again.
      await this.refresh();
      this._pending.delete(key);
      if (!this.isDisposed) {
        this.stateChanged.emit();
      }
    }
  }

  /** Forget one after the other; one that cannot be forgotten keeps no other from it. */
  private async _forgetAll(jobs: ReadonlyArray<IJob>): Promise<void> {
    let failure: unknown = null;
    for (const job of jobs) {
      try {
        await this._client.forget(job.id);
      } catch (error) {
        // What somebody else has forgotten meanwhile is as it should be.
        failure ??= toProblem(error).code === 'job-not-found' ? null : error;
      }
    }
    if (failure !== null) {
      throw failure;
    }
  }

  /** Look without waiting for the poll, then let the poll count from here. */
  private async _lookNow(): Promise<void> {
    if (this.isDisposed) {
      return;
    }
    // A failure shows in the snapshot.
    await this._look().catch(() => undefined);
    void this._poll.schedule({ phase: 'resolved' });
  }

  private async _lookSoon(): Promise<void> {
    if (!this._isHidden() && !document.hidden) {
      await this._lookNow();
    }
  }

  private _onEvent(_: unknown, event: Event.Emission): void {
    if (event.schema_id === CHANGE_SCHEMA_ID) {
      this._isStale = true;
      void this._throttler.invoke();
    }
  }

  /** Ask the server, one look at a time. */
  private async _look(): Promise<void> {
    if (this._looking === null) {
      this._looking = this._fetch().finally(() => {
        this._looking = null;
      });
      return this._looking;
    }
    const current = this._looking;
    // Someone wants what is true after now: the look under way may have passed it already.
    await current.catch(() => undefined);
    return this.isDisposed ? undefined : this._look();
  }

  private async _fetch(): Promise<void> {
    const before = this._snapshot;
    try {
      const jobs = await this._client.jobs();
      const changed = before.status === null ? [] : changedSince(before.jobs, jobs);
      const isWhole = this._isStale || before.status === null || !jobs.some(isActive) || changed.length > 0;
      this._isStale = false;
      const rest = isWhole ? await this._fetchRest() : {};
      this._setSnapshot({ ...before, ...rest, jobs, problem: null });
      changed.forEach(job => this._jobChanged.emit(job));
    } catch (error) {
      this._isStale = true;
      const problem = toProblem(error);
      // Without a server part there is nothing to show; otherwise the last picture is better than none.
      this._setSnapshot({ ...(problem.code === SERVER_MISSING ? NOTHING : before), problem });
      throw error;
    }
  }

  private async _fetchRest(): Promise<Pick<ISnapshot, 'status' | 'models' | 'cache'>> {
    const [status, models, cache] = await Promise.all([
      this._client.status(),
      this._client.models(),
      this._client.cache()
    ]);
    return { status, models, cache };
  }

  private _setSnapshot(snapshot: ISnapshot): void {
    if (this.isDisposed) {
      return;
    }
    this._snapshot = snapshot;
    this._tune();
    this.stateChanged.emit();
  }

  private _setActionProblem(problem: IProblem | null): void {
    if (problem !== this._actionProblem && !this.isDisposed) {
      this._actionProblem = problem;
      this.stateChanged.emit();
    }
  }

  /** Look often while something runs. */
  private _tune(): void {
    const interval = this._snapshot.jobs.some(isActive) ? BUSY_INTERVAL_MS : this._intervalMs;
    if (!this._poll.isDisposed && this._poll.frequency.interval !== interval) {
      this._poll.frequency = { interval, backoff: true, max: MAX_INTERVAL_MS };
    }
  }

  private readonly _client: Client;
  private readonly _events: ISignal<unknown, Event.Emission> | null;
  private readonly _isHidden: () => boolean;
  private readonly _jobChanged = new Signal<this, IJob>(this);
  private readonly _pending = new Set<string>();
  private readonly _poll: Poll<void>;
  private readonly _throttler: Throttler;
  private _actionProblem: IProblem | null = null;
  private _intervalMs: number;
  private _isStale = true;
  private _looking: Promise<void> | null = null;
  private _showUncatalogued = true;
  private _snapshot: ISnapshot = NOTHING;
}

/** A namespace for `PanelModel` statics. */
export namespace PanelModel {
  /** The key of actions on every cached model; no slug has this form. */
  export const WHOLE_CACHE = '*';

  /** The key of the action on every job that has ended; no id has this form. */
  export const ENDED_JOBS = '*jobs';

  /** What a panel model is made of. */
  export interface IOptions {
    readonly client: Client;
    /** The stream of Jupyter Events, null where the application has none. */
    readonly events: ISignal<unknown, Event.Emission> | null;
    /** Milliseconds between two looks at a server where nothing runs. */
    readonly intervalMs: number;
    /** Whether nobody can see the panel, so that asking would be for nothing. */
    readonly isHidden: () => boolean;
  }
}

function changedSince(before: ReadonlyArray<IJob>, now: ReadonlyArray<IJob>): ReadonlyArray<IJob> {
  const standings = new Map(before.map(job => [job.id, standing(job)]));
  return now.filter(
    job => standing(job) !== (standings.get(job.id) ?? (isActive(job) ? null : standing(job)))
  );
}

function standing(job: IJob): string {
  return isPaused(job) ? 'paused' : job.state;
}
