/** What the output of a cell knows: one job, kept fresh while it runs and somebody looks. */

import { VDomModel } from '@jupyterlab/ui-components';
import type { Event } from '@jupyterlab/services';
import { Poll } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';

import type { Client } from '../client';
import { CHANGE_SCHEMA_ID } from '../model';
import { toProblem } from '../problem';
import type { IJob, IProblem, Metrics } from '../types';
import { isActive } from './lookup';

const INTERVAL_MS = 1000;
const MAX_INTERVAL_MS = 60 * 1000;
const MAX_POINTS = 400;

/** Follows one job to its end. */
export class JobFollower extends VDomModel {
  constructor(private readonly _options: JobFollower.IOptions) {
    super();
    this._poll = new Poll<void>({
      auto: false,
      name: 'qwen3ft-jupyter:job-output',
      factory: () => this._look(),
      frequency: { interval: INTERVAL_MS, backoff: true, max: MAX_INTERVAL_MS },
      standby: () => (_options.isHidden() ? true : 'when-hidden')
    });
    _options.events?.connect(this._onEvent, this);
  }

  /** Where the server is asked. */
  get client(): Client {
    return this._options.client;
  }

  /** The job, null until the first answer. */
  get job(): IJob | null {
    return this._job;
  }

  /** Why the job cannot be shown or an action failed. */
  get problem(): IProblem | null {
    return this._problem;
  }

  /** Whether an action is under way. */
  get isPending(): boolean {
    return this._isPending;
  }

  /** Begin to follow. */
  async start(): Promise<void> {
    await this._look().catch(() => undefined);
    if (!this.isDisposed && !this._isOver()) {
      await this._poll.schedule({ phase: 'resolved' });
    }
  }

  /** Ask the job to stop. */
  async stop(): Promise<void> {
    await this._act(() => this.client.stop(this._options.id));
  }

  /** Let the job wait. */
  async pause(): Promise<void> {
    await this._act(() => this.client.pause(this._options.id));
  }

  /** Limit the job's speed, in bytes a second; null for no limit. */
  async limit(maxSpeed: number | null): Promise<void> {
    await this._act(() => this.client.limit(this._options.id, maxSpeed));
  }

  /** Go on with the job. */
  async resume(): Promise<void> {
    await this._act(() => this.client.resume(this._options.id));
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this._options.events?.disconnect(this._onEvent, this);
      this._poll.dispose();
      super.dispose();
    }
  }

  private async _look(): Promise<void> {
    try {
      const job = await this.client.job(this._options.id);
      await this._readMetrics(job);
      this._set({ ...job, metrics: this._metrics }, null);
    } catch (error) {
      this._set(this._job, toProblem(error));
      throw error;
    } finally {
      if (this._isOver()) {
        void this._poll.stop();
      }
    }
  }

  /** Ask for what is new in the curve; only a fine-tune has one. */
  private async _readMetrics(job: IJob): Promise<void> {
    if (job.kind !== 'finetune') {
      return;
    }
    const after = this._after;
    const news = await this.client.metrics(job.id, after);
    if (after === this._after && news.next_after > after) {
      this._after = news.next_after;
      this._metrics = thinned([...this._metrics, ...news.metrics]);
    }
  }

  private async _act(action: () => Promise<unknown>): Promise<void> {
    this._isPending = true;
    this.stateChanged.emit();
    try {
      await action();
      await this.start();
    } catch (error) {
      this._set(this._job, toProblem(error));
    } finally {
      this._isPending = false;
      if (!this.isDisposed) {
        this.stateChanged.emit();
      }
    }
  }

  private _onEvent(_: unknown, event: Event.Emission): void {
    if (event.schema_id === CHANGE_SCHEMA_ID && event.id === this._options.id) {
      // Also wakes a follower whose job was resumed elsewhere.
      void this._poll.refresh();
    }
  }

  private _set(job: IJob | null, problem: IProblem | null): void {
    if (!this.isDisposed) {
      this._job = job;
      this._problem = problem;
      this.stateChanged.emit();
    }
  }

  /** Whether nothing more will come: the job ended, or the server does not know it. */
  private _isOver(): boolean {
    return this._job === null ? this._problem?.code === 'job-not-found' : !isActive(this._job);
  }

  /** Number of the last event that the metrics cover. */
  private _after = 0;
  private _isPending = false;
  private _job: IJob | null = null;
  private _metrics: ReadonlyArray<Metrics> = [];
  private readonly _poll: Poll<void>;
  private _problem: IProblem | null = null;
}

/** Every second point, and the last, of a curve that has grown longer than a small chart can show. */
function thinned(points: ReadonlyArray<Metrics>): ReadonlyArray<Metrics> {
  return points.length <= MAX_POINTS
    ? points
    : points.filter((_, index) => index % 2 === 0 || index === points.length - 1);
}

/** A namespace for `JobFollower` statics. */
export namespace JobFollower {
  /** What a follower is made of. */
  export interface IOptions {
    readonly id: string;
    readonly client: Client;
    readonly events: ISignal<unknown, Event.Emission> | null;
    /** Whether nobody can see the output. */
    readonly isHidden: () => boolean;
  }
}
