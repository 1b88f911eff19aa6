/** A question that changes while it is asked: only the answer to the last one counts. */

import type { IProblem } from '../api/answers';
import { toProblem } from '../api/request';

/** Whoever types on is not asked about yet. */
export const CHECK_DELAY_MS = 150;
/** What reads the data waits a little longer. */
export const PLAN_DELAY_MS = 350;
export const PREVIEW_DELAY_MS = 900;

/** The answer to the question that was asked last; who asks again stops the one before. */
export class Latest<T> {
  /** @param _onChange - Called whenever something that is said here changed. */
  constructor(private readonly _onChange: () => void) {}

  /** The newest answer; it stays while the next one is waited for. */
  get value(): T | null {
    return this._value;
  }

  /** Why there is no answer to the last question. */
  get problem(): IProblem | null {
    return this._problem;
  }

  /** Whether an answer is waited for, or about to be asked for. */
  get isBusy(): boolean {
    return this._asked !== null;
  }

  /** Whether `value` answers the last question. */
  get isFresh(): boolean {
    return this._isFresh;
  }

  /**
   * Ask, unless something else is asked before the delay is over.
   *
   * @param ask - Stops when the signal says so.
   */
  ask(ask: (signal: AbortSignal) => Promise<T>, delayMs = 0): void {
    this._end();
    const asked = new AbortController();
    this._asked = asked;
    this._isFresh = false;
    this._timer = setTimeout(() => void this._run(ask, asked), delayMs);
    this._onChange();
  }

  /** Wait no longer; what was answered before stays. */
  stop(): void {
    if (this._asked !== null) {
      this._end();
      this._onChange();
    }
  }

  /** Forget all. */
  clear(): void {
    this._end();
    this._value = this._problem = null;
    this._isFresh = false;
    this._onChange();
  }

  private async _run(ask: (signal: AbortSignal) => Promise<T>, asked: AbortController): Promise<void> {
    try {
      const value = await ask(asked.signal);
      if (this._asked === asked) {
        this._value = value;
        this._problem = null;
        this._isFresh = true;
      }
    } catch (error) {
      if (this._asked === asked) {
        this._problem = toProblem(error);
      }
    }
    if (this._asked === asked) {
      this._asked = null;
      this._onChange();
    }
  }

  private _end(): void {
    clearTimeout(this._timer);
    this._asked?.abort();
    this._asked = null;
  }

  private _asked: AbortController | null = null;
  private _isFresh = false;
  private _problem: IProblem | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _value: T | null = null;
}
