/** What the front end knows of the server: one picture for all views, kept fresh while somebody looks. */

import type { Event } from '@jupyterlab/services';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { IJob, IModel } from '../api/answers';
import type { Client } from '../api/client';
import type { IChange } from '../api/events';
import { parseChange } from '../api/events';
import { SERVER_MISSING, toProblem } from '../api/request';
import type { Notices } from '../domain/jobs';
import { downloadOf, isActive, latestDownload } from '../domain/jobs';
import { HUB_UNREACHABLE, PRACTICE_MODEL } from '../domain/models';
import { Actions } from './actions';
import { fetchRest, fetchSome } from './fetch';
import { Schedule } from './schedule';
import { Seen } from './seen';
import type { ISnapshot } from './snapshot';
import { changedSince, jobsByModel, NOTHING, withJob } from './snapshot';
import { Stale } from './stale';
import { JobWatch } from './watch';

/** While events tell of what changes, all is asked for this often in case one was lost. */
const HEARD_INTERVAL_MS = 60_000;

/** The server tells of a running job each second; after this long, and more than a glance, it tells no more. */
const SILENCE_MS = 6000;

const NO_JOBS: ReadonlyArray<IJob> = [];

/** The state of the server, and the actions that change it. */
export class Store {
  constructor(options: Store.IOptions) {
    this.client = options.client;
    this.actions = new Actions({
      client: this.client,
      refresh: id => (id === undefined ? this.refresh() : this._refreshJob(id)),
      onChange: () => this._changed.emit()
    });
    this._intervalMs = options.intervalMs;
    this._events = options.events;
    this._schedule = new Schedule({
      look: () => this._look(),
      beforeTick: () => this._markDue(),
      isSeen: () => this._seen.parts.size > 0 || this._seen.ids.size > 0
    });
    this._events?.connect(this._onEvent, this);
  }

  /** Where the server is asked. */
  readonly client: Client;

  /** What buttons do. */
  readonly actions: Actions;

  /** The latest picture. */
  get snapshot(): ISnapshot {
    return this._snapshot;
  }

  /** Emitted with a job that started, or went from one state to another or to waiting, since the last look. */
  get jobChanged(): ISignal<this, IJob> {
    return this._jobChanged;
  }

  /** Call `listener` after each change, until what is returned is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this._changed.connect(listener);
    return () => this._changed.disconnect(listener);
  };

  /** Whether a cached model that is not in the catalogue is listed with the models. */
  get showUncatalogued(): boolean {
    return this._showUncatalogued;
  }
  set showUncatalogued(value: boolean) {
    this._showUncatalogued = value;
    this._changed.emit();
  }

  /** Of which ends of jobs people want to be notified. */
  notices: Notices = 'all';

  /** Milliseconds between two looks at a server where nothing runs. */
  get intervalMs(): number {
    return this._intervalMs;
  }
  set intervalMs(value: number) {
    this._intervalMs = value;
    this._tune();
  }

  /** The jobs about a model, the newest first. */
  jobsOf(modelName: string): ReadonlyArray<IJob> {
    return this._jobsByModel.get(modelName) ?? NO_JOBS;
  }

  /** The download of a model that is under way, or that ended badly and can be resumed. */
  downloadOf(modelName: string): IJob | null {
    return downloadOf(this.jobsOf(modelName), modelName);
  }

  /** Whether a download of a model is under way, or asked for. */
  isDownloading(modelName: string): boolean {
    const job = this.downloadOf(modelName);
    return this.actions.isPending(modelName) || (job !== null && isActive(job));
  }

  /** The practice model where it is of use: its row, unless it is on this disk already. */
  get practiceOffer(): IModel | null {
    const entry = this._snapshot.models.find(each => each.model_name === PRACTICE_MODEL);
    return entry !== undefined && !entry.cached ? entry : null;
  }

  /** Whether the latest download that ended did so because no hub could be reached. */
  get isHubUnreachable(): boolean {
    const latest = latestDownload(this._snapshot.jobs);
    return [latest?.error, this.actions.problem].some(problem => problem?.code === HUB_UNREACHABLE);
  }

  /** Whether a job runs as far as is known, or there is news of one that nobody has looked at. */
  get isJobExpected(): boolean {
    return this._snapshot.jobs.some(isActive) || this._stale.ids.size > 0 || this._stale.parts.has('jobs');
  }

  /** Keep lists fresh while they are not hidden, until what is returned is called. */
  showLists(isHidden: () => boolean): () => void {
    return this._seen.addLists(isHidden);
  }

  /** Keep the jobs fresh enough for a glance while they are not hidden, until what is returned is called. */
  glanceAtJobs(isHidden: () => boolean): () => void {
    return this._seen.addGlance(isHidden);
  }

  /** Follow one job while it is not hidden, until the watch is disposed; `ask` is called in place of its metrics. */
  watch(id: string, isHidden: () => boolean, ask?: (job: IJob) => Promise<void>): JobWatch {
    const refresh = () => this._refreshJob(id);
    const watch = new JobWatch(id, isHidden, refresh, ended => this._seen.watches.delete(ended), ask);
    this._seen.watches.add(watch);
    return watch;
  }

  /** Look at everything now; called when the panel is shown and by its refresh button. */
  async refresh(): Promise<void> {
    this._stale.markAll();
    await this._schedule.now();
  }

  /** Ask once what memory the server's machine has: apart from the lists, for a driver may take seconds to tell. */
  async askMachine(): Promise<void> {
    if (!this._isMachineAsked) {
      this._isMachineAsked = true;
      const machine = await this.client.machine().catch(() => null);
      this._isMachineAsked = machine !== null; // a server that did not answer is asked again
      this._setSnapshot({ ...this._snapshot, machine });
    }
  }

  /** Ask nothing more. */
  dispose(): void {
    this._events?.disconnect(this._onEvent, this);
    this._schedule.dispose();
    Signal.clearData(this);
  }

  /** Look at one job now, seen or not: an output is drawn before it is put into its notebook. */
  private async _refreshJob(id: string): Promise<void> {
    this._stale.ids.add(id);
    this._seen.asked.add(id);
    await this._schedule.now();
    this._seen.asked.delete(id);
  }

  private _onEvent(_: unknown, event: Event.Emission): void {
    const change = parseChange(event);
    if (change !== null) {
      this._heardAt = Date.now();
      if (change.subject === 'job' && change.state === 'forgotten') {
        this._drop(change.id);
      } else {
        this._stale.markChange(change);
      }
      if (!this._canWait(change)) {
        this._schedule.soon();
      }
    }
  }

  /** Whether a job only moved on, since a look that is not long ago: the next one is early enough. */
  private _canWait({ subject, id, state }: IChange): boolean {
    const isKnown = this._snapshot.jobs.some(job => job.id === id && job.state === state && isActive(job));
    return subject === 'job' && isKnown && Date.now() - this._lookedAt < this._seen.progressMs;
  }

  /** Take a job off the list that is known to be gone; only who shows it by itself still has to ask. */
  private _drop(id: string): void {
    if ([...this._seen.watches].some(watch => watch.id === id)) {
      this._stale.ids.add(id);
    }
    const jobs = withJob(this._snapshot.jobs, id, null);
    if (jobs.length < this._snapshot.jobs.length) {
      this._setSnapshot({ ...this._snapshot, jobs });
    }
  }

  /** Mark what nobody tells of: all from time to time, and while the server is silent what runs. */
  private _markDue(): void {
    const now = Date.now();
    const isSilent = now - this._heardAt >= SILENCE_MS;
    const interval = isSilent ? this._intervalMs : Math.max(this._intervalMs, HEARD_INTERVAL_MS);
    if (!this._isBusy || now - this._stale.markedAt >= interval) {
      this._stale.markAll();
    }
    if (isSilent) {
      this._snapshot.jobs.filter(isActive).forEach(job => this._stale.ids.add(job.id));
      this._seen.watches.forEach(watch => !watch.isOver && this._stale.ids.add(watch.id));
    }
  }

  private async _look(): Promise<void> {
    const before = this._snapshot;
    const seen = this._seen.parts;
    const { parts, ids } = this._stale.take(seen, this._seen.ids);
    if (parts.size === 0 && ids.length === 0) {
      return;
    }
    this._lookedAt = Date.now();
    try {
      const listed = parts.has('jobs') ? await this.client.jobs() : before.jobs;
      const isFollowed = ({ id, isHidden }: JobWatch) => !isHidden() || this._seen.asked.has(id);
      const jobs = await fetchSome(this.client, [...this._seen.watches], listed, ids, isFollowed);
      const changed = this._areJobsKnown ? changedSince(before.jobs, jobs) : [];
      this._areJobsKnown = this._areJobsKnown || parts.has('jobs');
      if (changed.length > 0) {
        this._stale.mark('models', 'cache');
        this._stale.take(seen, new Set()).parts.forEach(part => parts.add(part));
      }
      const rest = await fetchRest(this.client, parts, before);
      const { machine } = this._snapshot; // may have been told of meanwhile
      this._setSnapshot({ ...before, ...rest, machine, jobs, problem: null });
      changed.forEach(job => this._jobChanged.emit(job));
    } catch (error) {
      this._stale.markAll();
      ids.forEach(id => this._stale.ids.add(id));
      const problem = toProblem(error);
      // Without a server part there is nothing to show; otherwise the last picture is better than none.
      this._setSnapshot({ ...(problem.code === SERVER_MISSING ? NOTHING : this._snapshot), problem });
      throw error;
    }
  }

  private _setSnapshot(snapshot: ISnapshot): void {
    if (snapshot.jobs !== this._snapshot.jobs) {
      this._jobsByModel = jobsByModel(snapshot.jobs);
    }
    this._snapshot = snapshot;
    this._tune();
    this._changed.emit();
  }

  /** Look often while something runs; while the server tells of it, such a look asks nothing. */
  private _tune(): void {
    this._schedule.setInterval(this._isBusy ? this._seen.progressMs : this._intervalMs);
  }

  private get _isBusy(): boolean {
    return this._snapshot.jobs.some(isActive) || this._seen.isWaiting;
  }

  private _areJobsKnown = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _events: ISignal<unknown, Event.Emission> | null;
  private _heardAt = -SILENCE_MS;
  private _intervalMs: number;
  private readonly _jobChanged = new Signal<this, IJob>(this);
  private _isMachineAsked = false;
  private _jobsByModel: ReadonlyMap<string, ReadonlyArray<IJob>> = new Map();
  private _lookedAt = 0;
  private readonly _schedule: Schedule;
  private _showUncatalogued = true;
  private _snapshot: ISnapshot = NOTHING;
  private readonly _seen = new Seen();
  private readonly _stale = new Stale();
}

/** A namespace for `Store` statics. */
export namespace Store {
  /** What a store is made of. */
  export interface IOptions {
    readonly client: Client;
    /** The stream of Jupyter Events, null where the application has none. */
    readonly events: ISignal<unknown, Event.Emission> | null;
    /** Milliseconds between two looks at a server where nothing runs. */
    readonly intervalMs: number;
  }
}
