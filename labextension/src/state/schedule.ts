/** When the server is asked: soon after it told of a change, else from time to time. */

import { Poll, Throttler } from '@lumino/polling';

/** A poll that fails waits longer each time, up to this. */
const MAX_INTERVAL_MS = 60 * 1000;

/** Events come in bursts; one look answers a burst. */
const EVENT_LIMIT_MS = 300;

/** Calls `look`, one at a time. */
export class Schedule {
  constructor(private readonly _options: Schedule.IOptions) {
    this._poll = new Poll<void>({
      auto: false,
      name: 'qwen3ft-jupyter:store',
      factory: () => this._tick(),
      frequency: this._frequency(MAX_INTERVAL_MS),
      standby: () => (_options.isSeen() ? 'when-hidden' : true)
    });
    this._throttler = new Throttler(() => this._lookSoon(), { limit: EVENT_LIMIT_MS, edge: 'trailing' });
  }

  /** Let this many milliseconds lie between two ticks. */
  setInterval(interval: number): void {
    if (!this._poll.isDisposed && this._poll.frequency.interval !== interval) {
      this._poll.frequency = this._frequency(interval);
    }
  }

  /** Look without waiting for the poll, then let the poll count from here. A failure is not raised. */
  async now(): Promise<void> {
    if (!this._poll.isDisposed) {
      await this._look().catch(() => undefined);
    }
    if (!this._poll.isDisposed) {
      void this._poll.schedule({ phase: 'resolved' });
    }
  }

  /** Look soon, if somebody sees what is found. */
  soon(): void {
    void this._throttler.invoke();
  }

  /** Look no more. */
  dispose(): void {
    this._throttler.dispose();
    this._poll.dispose();
  }

  private async _tick(): Promise<void> {
    this._options.beforeTick();
    await this._look();
  }

  private async _lookSoon(): Promise<void> {
    if (this._options.isSeen() && !document.hidden) {
      await this.now();
    }
  }

  private async _look(): Promise<void> {
    if (this._looking === null) {
      this._looking = this._options.look().finally(() => {
        this._looking = null;
      });
      return this._looking;
    }
    const current = this._looking;
    // Someone wants what is true after now: the look under way may have passed it already.
    await current.catch(() => undefined);
    return this._poll.isDisposed ? undefined : this._look();
  }

  private _frequency(interval: number): Poll<void>['frequency'] {
    return { interval, backoff: true, max: Math.max(interval, MAX_INTERVAL_MS) };
  }

  private _looking: Promise<void> | null = null;
  private readonly _poll: Poll<void>;
  private readonly _throttler: Throttler;
}

/** A namespace for `Schedule` statics. */
export namespace Schedule {
  /** What is called, and when not. */
  export interface IOptions {
    readonly look: () => Promise<void>;
    /** Called before the look of the poll. */
    readonly beforeTick: () => void;
    /** Whether somebody sees what a look finds; else asking would be for nothing. */
    readonly isSeen: () => boolean;
  }
}
