/** Other runs beside one: their curves, kept fresh while they run and somebody compares, and what sets them apart. */

import type { IJob, IProblem } from '../api/answers';
import type { Client } from '../api/client';
import { toProblem } from '../api/request';
import type { IComparison, ICurves } from '../api/runs';
import type { IRange } from '../domain/curves';
import { joinCurves } from '../domain/curves';
import { isActive } from '../domain/jobs';
import type { Store } from './store';

/** Between two looks at curves that grow. */
const CURVES_MS = 4000;

/** Between two looks at what runs came to so far. */
const NUMBERS_MS = 10_000;

/** Another run. */
export interface IOther {
  readonly id: string;
  readonly title: string;
  /** Null until they are there. */
  readonly curves: ICurves | null;
}

/** All that is compared; replaced as a whole, never changed. */
export interface ICompared {
  readonly others: ReadonlyArray<IOther>;
  /** Null until it is there. */
  readonly comparison: IComparison | null;
  /** The part that is looked at, null for all of it. */
  readonly range: IRange | null;
  /** The curves of that part, step by step: those of the run itself, then those of the others. */
  readonly details: ReadonlyArray<ICurves> | null;
  /** Why it cannot be shown as it is now; what was known before stays. */
  readonly problem: IProblem | null;
}

/** How a run was when its curves were last asked for, and until when that is enough. */
interface ISeen {
  readonly job: IJob | undefined;
  readonly until: number;
  readonly hasFailed: boolean;
}

/** Nothing is compared yet. */
const NOTHING: ICompared = { others: [], comparison: null, range: null, details: null, problem: null };

/** Sets other runs beside one. */
export class CompareModel {
  constructor(private readonly _options: CompareModel.IOptions) {}

  /** What is shown now. */
  get picture(): ICompared {
    return this._picture;
  }

  /** Call `listener` after each change, until what is returned is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };

  /** Keep it fresh, until what is returned is called: somebody compares. */
  readonly follow = (): (() => void) => {
    const stop = this._options.store.subscribe(() => void this._askDue());
    this._isFollowed = true;
    void this._askDue();
    return () => {
      this._isFollowed = false;
      stop();
    };
  };

  /** Set these runs beside the one. */
  async choose(jobs: ReadonlyArray<IJob>): Promise<void> {
    const known = new Map(this._picture.others.map(other => [other.id, other.curves]));
    const others = jobs.map(({ id, title }) => ({ id, title, curves: known.get(id) ?? null }));
    this._problems.clear();
    this._set({ others, comparison: null, details: null, problem: null });
    this._numbersAt = 0;
    others.filter(({ curves }) => curves === null).forEach(({ id }) => this._seen.delete(id));
    await this._askDue();
    await this._askDetails();
  }

  /** Look at a part of the curves, or at all of them. */
  async setRange(range: IRange | null): Promise<void> {
    this._set({ range, details: null });
    await this._askDetails();
  }

  /** Follow nothing more. */
  dispose(): void {
    this._isDisposed = true;
    this._isFollowed = false;
    this._listeners.clear();
  }

  private get _client(): Client {
    return this._options.store.client;
  }

  /** Ask for what is due, as often as it is worth, and again for what became due meanwhile. */
  private async _askDue(): Promise<void> {
    if (this._isAsking) {
      return;
    }
    this._isAsking = true;
    for (let due = this._takeDue(); due.length > 0; due = this._takeDue()) {
      await Promise.all(due.map(ask => ask()));
    }
    this._isAsking = false;
  }

  private _takeDue(): ReadonlyArray<() => Promise<void>> {
    const { others } = this._picture;
    if (this._isDisposed || others.length === 0 || !this._isFollowed || this._options.isHidden()) {
      return [];
    }
    const now = Date.now();
    const { jobs } = this._options.store.snapshot;
    const due = others
      .filter(other =>
        this._isDue(
          other,
          jobs.find(job => job.id === other.id),
          now
        )
      )
      .map(
        ({ id }) =>
          () =>
            this._askCurves(id)
      );
    const compared = jobs.filter(
      job => job.id === this._options.id || others.some(({ id }) => id === job.id)
    );
    const states = compared.map(job => `${job.id} ${job.state}`).join();
    const isMoving = compared.some(isActive);
    if (this._numbersAt === 0 || states !== this._states || (isMoving && now >= this._numbersAt)) {
      this._numbersAt = now + NUMBERS_MS;
      this._states = states;
      return [...due, () => this._askComparison()];
    }
    return due;
  }

  /** Whether a run has moved on since its curves were asked for, and not only a moment ago; then it counts as asked. */
  private _isDue({ id, curves }: IOther, job: IJob | undefined, now: number): boolean {
    const seen = this._seen.get(id);
    const isFirst = curves === null && seen === undefined;
    const isSoon = now < (seen?.until ?? 0);
    const hasMoved =
      job !== undefined && job !== seen?.job && !(isSoon && (isActive(job) || seen?.hasFailed));
    if (isFirst || hasMoved) {
      this._seen.set(id, { job, until: now + CURVES_MS, hasFailed: false });
    }
    return isFirst || hasMoved;
  }

  private async _askCurves(id: string): Promise<void> {
    const known = this._picture.others.find(other => other.id === id)?.curves ?? null;
    try {
      const news = await this._client.curves(id, known === null ? {} : { after: known.last_step });
      const joined = known === null ? news : joinCurves(known, news);
      const curves = joined ?? (await this._client.curves(id));
      this._tell(id, null);
      if (curves !== known) {
        this._set({
          others: this._picture.others.map(other => (other.id === id ? { ...other, curves } : other))
        });
      }
    } catch (error) {
      this._seen.set(id, { job: undefined, until: Date.now() + CURVES_MS, hasFailed: true });
      this._tell(id, toProblem(error));
    }
  }

  private async _askComparison(): Promise<void> {
    const ids = this._picture.others.map(({ id }) => id);
    try {
      const comparison = await this._client.compare([this._options.name(), ...ids]);
      if (this._isStill(ids)) {
        this._set({ comparison });
        this._tell('', null);
      }
    } catch (error) {
      if (this._isStill(ids)) {
        this._tell('', toProblem(error));
      }
    }
  }

  /** Ask for the part that is looked at, if some curve has fewer points than steps. */
  private async _askDetails(): Promise<void> {
    const { range, others } = this._picture;
    const all = [this._options.curves(), ...others.map(({ curves }) => curves)];
    const isDrawnWhole = all.every(each =>
      Object.values(each?.series ?? {}).every(({ stride }) => stride === 1)
    );
    if (range === null || isDrawnWhole) {
      return;
    }
    const ids = others.map(({ id }) => id);
    const asked = [this._options.name(), ...ids].map(name => this._client.curves(name, { ...range }));
    const details = await Promise.all(asked).catch(() => null);
    if (this._picture.range === range && this._isStill(ids)) {
      this._set({ details });
    }
  }

  private _isStill(ids: ReadonlyArray<string>): boolean {
    return this._picture.others.map(({ id }) => id).join() === ids.join();
  }

  /** Show what is wrong: with the curves of a run, by its id, or with the comparison, by "". */
  private _tell(about: string, problem: IProblem | null): void {
    this._problems.delete(about);
    if (problem !== null) {
      this._problems.set(about, problem);
    }
    const [shown = null] = this._problems.values();
    if (shown !== this._picture.problem) {
      this._set({ problem: shown });
    }
  }

  private _set(change: Partial<ICompared>): void {
    if (!this._isDisposed) {
      this._picture = { ...this._picture, ...change };
      this._listeners.forEach(listener => listener());
    }
  }

  private _isAsking = false;
  private _isDisposed = false;
  private _isFollowed = false;
  private readonly _listeners = new Set<() => void>();
  private _numbersAt = 0;
  private _picture = NOTHING;
  private readonly _problems = new Map<string, IProblem>();
  private readonly _seen = new Map<string, ISeen>();
  private _states = '';
}

/** A namespace for `CompareModel` statics. */
export namespace CompareModel {
  /** Which run others are set beside, and who sees it. */
  export interface IOptions {
    readonly store: Store;
    /** The id of its job. */
    readonly id: string;
    /** What a request names it by. */
    readonly name: () => string;
    /** Its own curves, as far as they are known. */
    readonly curves: () => ICurves | null;
    readonly isHidden: () => boolean;
  }
}
