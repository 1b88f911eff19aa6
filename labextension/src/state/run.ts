/** One fine-tune as its view shows it: job, folder and curves, kept fresh while the job runs and somebody looks. */

import type { IJob, IProblem } from '../api/answers';
import { toProblem } from '../api/request';
import type { IComparison, ICurves, IRun } from '../api/runs';
import type { IRange } from '../domain/curves';
import { joinCurves } from '../domain/curves';
import { isActive } from '../domain/jobs';
import type { Store } from './store';
import type { JobWatch } from './watch';

/** Between two looks at curves that grow; each step is still drawn then. */
const CURVES_MS = 2000;

/** The same of long ones, which grow by a point each so many steps. */
const LONG_CURVES_MS = 5000;

/** Between two looks at what the folder tells: the answers come a few times in a run. */
const RUN_MS = 10_000;

/** Another run, beside this one. */
export interface IOther {
  readonly id: string;
  readonly title: string;
  /** Null until they are there. */
  readonly curves: ICurves | null;
}

/** All that is shown of a run; replaced as a whole, never changed. */
export interface IRunPicture {
  /** Null until the first answer, and of a job that was forgotten. */
  readonly job: IJob | null;
  /** What its folder tells, null while that tells nothing. */
  readonly run: IRun | null;
  readonly curves: ICurves | null;
  /** The part that is looked at, null for all of it. */
  readonly range: IRange | null;
  /** The curves of that part, step by step. */
  readonly detail: ICurves | null;
  readonly others: ReadonlyArray<IOther>;
  readonly comparison: IComparison | null;
  /** Whether the server has no job of that name any more. */
  readonly isForgotten: boolean;
  /** Whether a later run has taken its folder. */
  readonly isReplaced: boolean;
  /** Why its folder or its curves cannot be shown. */
  readonly problem: IProblem | null;
}

const NOTHING: IRunPicture = {
  job: null,
  run: null,
  curves: null,
  range: null,
  detail: null,
  others: [],
  comparison: null,
  isForgotten: false,
  isReplaced: false,
  problem: null
};

/** Follows a run. */
export class RunModel {
  constructor(private readonly _options: RunModel.IOptions) {
    const { store, jobId, isHidden } = _options;
    this._folder = _options.folder;
    this._watch = store.watch(jobId, isHidden, job => this._onJob(job));
    this._unsubscribe = store.subscribe(() => this._onStore());
  }

  /** The run's job. */
  get jobId(): string {
    return this._options.jobId;
  }

  /** Whether nobody sees the view. */
  get isHidden(): () => boolean {
    return this._options.isHidden;
  }

  /** What is shown now. */
  get picture(): IRunPicture {
    return this._picture;
  }

  /** Call `listener` after each change, until what is returned is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };

  /** Look at all of it now; called when it is shown. */
  async refresh(): Promise<void> {
    this._dueAt = { curves: 0, run: 0 };
    await this._watch.refresh();
  }

  /** Look at a part of the curves, or at all of them. */
  async setRange(range: IRange | null): Promise<void> {
    this._set({ range, detail: null });
    const { curves, run } = this._picture;
    const isDrawnWhole = Object.values(curves?.series ?? {}).every(({ stride }) => stride === 1);
    if (range === null || run === null || isDrawnWhole) {
      return;
    }
    const detail = await this._options.store.client.curves(this._name, { ...range }).catch(() => null);
    if (this._picture.range === range) {
      this._set({ detail });
    }
  }

  /** Set other runs beside this one. */
  async compareWith(jobs: ReadonlyArray<IJob>): Promise<void> {
    const { client } = this._options.store;
    const known = new Map(this._picture.others.map(other => [other.id, other.curves]));
    const others = jobs.map(({ id, title }) => ({ id, title, curves: known.get(id) ?? null }));
    this._set({ others, comparison: null, problem: null });
    if (jobs.length === 0) {
      return;
    }
    try {
      const [comparison, ...curves] = await Promise.all([
        client.compare([this._name, ...jobs.map(({ id }) => id)]),
        ...jobs.map(({ id }) => client.curves(id))
      ]);
      if (this._picture.others === others) {
        this._set({
          comparison,
          others: others.map((other, index) => ({ ...other, curves: curves[index] }))
        });
      }
    } catch (error) {
      if (this._picture.others === others) {
        this._set({ problem: toProblem(error) });
      }
    }
  }

  /** Follow it no more. */
  dispose(): void {
    this._isDisposed = true;
    this._watch.dispose();
    this._unsubscribe();
    this._listeners.clear();
  }

  /** What a request names the run by. */
  private get _name(): string {
    return this._picture.isForgotten ? this._folder : this._options.jobId;
  }

  /** The store has looked at the job. It does not wait for the rest, which may lie on a slow disk. */
  private async _onJob(job: IJob): Promise<void> {
    const { job: before } = this._picture;
    if (before?.state !== job.state || before.attempt !== job.attempt) {
      this._dueAt = { curves: 0, run: 0 };
    }
    this._set({ job, isForgotten: false });
    void this._askDue();
  }

  /** Ask for what is due, one thing at a time, as often as it is worth. */
  private async _askDue(): Promise<void> {
    if (this._isAsking) {
      return; // the job moves on, and with its next step what is due now is asked for
    }
    this._isAsking = true;
    try {
      if (Date.now() >= this._dueAt.run) {
        this._dueAt = { ...this._dueAt, run: Date.now() + RUN_MS };
        await this._askRun(this._name);
      }
      if (Date.now() >= this._dueAt.curves) {
        this._dueAt = { ...this._dueAt, curves: Date.now() + CURVES_MS };
        await this._askCurves();
        const isLong = Object.values(this._picture.curves?.series ?? {}).some(({ stride }) => stride > 1);
        this._dueAt.curves += isLong ? LONG_CURVES_MS - CURVES_MS : 0;
      }
    } finally {
      this._isAsking = false;
    }
    if (!this._isDisposed && this._dueAt.curves === 0) {
      await this._askDue(); // it turned meanwhile; nothing more may come
    }
  }

  private _onStore(): void {
    const { job, problem } = this._watch;
    if (problem?.code === 'job-not-found') {
      if (!this._picture.isForgotten) {
        this._set({ isForgotten: true, job: null });
        this._dueAt = { curves: 0, run: 0 };
        void this._askDue();
      }
    } else if (job !== this._picture.job && job !== null) {
      this._set({ job });
    }
  }

  private async _askRun(name: string): Promise<void> {
    const { job } = this._picture;
    const isBegun = job !== null && isActive(job);
    if (name === '') {
      return;
    }
    try {
      const run = await this._options.store.client.run(name);
      const isReplaced = run.id !== '' && run.id !== this._options.jobId;
      this._set({ run: isReplaced ? null : run, isReplaced: isReplaced && !isBegun, problem: null });
      if (!isReplaced && run.folder !== this._folder) {
        this._folder = run.folder;
        this._options.onFolder(run.folder);
      }
    } catch (error) {
      // Until it has read its data a run has no folder.
      this._set({ run: null, problem: isBegun ? null : toProblem(error) });
    }
  }

  private async _askCurves(): Promise<void> {
    const known = this._picture.run === null ? null : this._picture.curves;
    if (this._picture.run === null) {
      this._set({ curves: null });
      return;
    }
    try {
      const { client } = this._options.store;
      const news = await client.curves(this._name, known === null ? {} : { after: known.last_step });
      const joined = known === null ? news : joinCurves(known, news);
      const curves = joined ?? (await client.curves(this._name));
      this._set({ curves });
    } catch (error) {
      this._set({ problem: toProblem(error) });
    }
  }

  private _set(change: Partial<IRunPicture>): void {
    if (!this._isDisposed) {
      this._picture = { ...this._picture, ...change };
      this._listeners.forEach(listener => listener());
    }
  }

  private _dueAt = { curves: 0, run: 0 };
  private _folder: string;
  private _isAsking = false;
  private _isDisposed = false;
  private readonly _listeners = new Set<() => void>();
  private _picture = NOTHING;
  private readonly _unsubscribe: () => void;
  private readonly _watch: JobWatch;
}

/** A namespace for `RunModel` statics. */
export namespace RunModel {
  /** Which run, and who sees it. */
  export interface IOptions {
    readonly store: Store;
    readonly jobId: string;
    /** Its output folder, by which it is found once its job is forgotten; empty where nobody knows it. */
    readonly folder: string;
    readonly isHidden: () => boolean;
    /** Called with its folder, as soon as that is known. */
    readonly onFolder: (folder: string) => void;
  }
}
