/** One fine-tune as its view shows it: job, folder and curves, kept fresh while the job runs and somebody looks. */

import type { IJob, IProblem } from '../api/answers';
import { toProblem } from '../api/request';
import type { IRange } from '../domain/curves';
import { joinCurves } from '../domain/curves';
import { isActive } from '../domain/jobs';
import { CompareModel } from './compare';
import type { IRunPicture } from './picture';
import { NOTHING } from './picture';
import type { Store } from './store';
import type { JobWatch } from './watch';

/** Between two looks at curves that grow: in effect every second look at the job; each step is still drawn then. */
const CURVES_MS = 4000;

/** The same of long ones, which grow by a point each so many steps. */
const LONG_CURVES_MS = 5000;

/** Between two looks at what the folder tells: the answers come a few times in a run. */
const RUN_MS = 10_000;

/** After the first question that failed, until it is asked again; each time twice as long, up to what lies between two looks. */
const RETRY_MS = 1000;

/** What is asked for by itself: of one that fails the other is shown all the same. */
type Part = 'run' | 'curves';

/** Follows a run. */
export class RunModel {
  constructor(private readonly _options: RunModel.IOptions) {
    const { store, jobId, isHidden } = _options;
    this._folder = _options.folder;
    this._watch = store.watch(jobId, isHidden, job => this._onJob(job));
    this._unsubscribe = store.subscribe(() => this._onStore());
    this.compared = new CompareModel({
      store,
      id: jobId,
      name: () => this._name,
      curves: () => this._picture.curves,
      isHidden
    });
  }

  /** Other runs beside this one. */
  readonly compared: CompareModel;

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
    await this._askDue(); // also of a run whose job has long been forgotten, of which nothing new is told
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

  /** Follow it no more. */
  dispose(): void {
    this._isDisposed = true;
    Object.values(this._retryTimers).forEach(clearTimeout);
    this._watch.dispose();
    this._unsubscribe();
    this.compared.dispose();
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
    this._askSeen();
  }

  /** Ask for what is due if somebody sees it; once it is shown again all is asked for. */
  private _askSeen(): void {
    if (!this._options.isHidden()) {
      void this._askDue();
    }
  }

  /** Ask for what is due, one thing at a time, as often as it is worth. */
  private async _askDue(): Promise<void> {
    if (this._isAsking || this._isDisposed) {
      return; // the job moves on, and with its next step what is due now is asked for
    }
    this._isAsking = true;
    for (const part of ['run', 'curves'] as const) {
      if (Date.now() >= this._dueAt[part]) {
        this._dueAt[part] = this._next(part);
        await this._ask(part);
      }
    }
    this._isAsking = false;
    if (!this._isDisposed && Object.values(this._dueAt).includes(0)) {
      await this._askDue(); // it turned meanwhile; nothing more may come
    }
  }

  private _onStore(): void {
    const { job, problem } = this._watch;
    if (problem?.code === 'job-not-found') {
      if (!this._picture.isForgotten) {
        this._set({ isForgotten: true, job: null });
        this._dueAt = { curves: 0, run: 0 };
        this._askSeen();
      }
    } else if (job !== this._picture.job && job !== null) {
      void this._onJob(job); // it was in the list
    }
  }

  /** When it is worth asking again, if nothing turns: of a run that has ended nothing more comes. */
  private _next(part: Part): number {
    const { job, curves } = this._picture;
    if (job === null || !isActive(job)) {
      return Infinity;
    }
    const isLong = Object.values(curves?.series ?? {}).some(({ stride }) => stride > 1);
    return Date.now() + (part === 'run' ? RUN_MS : isLong ? LONG_CURVES_MS : CURVES_MS);
  }

  private async _ask(part: Part): Promise<void> {
    clearTimeout(this._retryTimers[part]);
    try {
      await (part === 'run' ? this._askRun() : this._askCurves());
      this._failures[part] = 0;
      this._tell(part, null);
    } catch (error) {
      const { job, run } = this._picture;
      const wait = Math.min(RETRY_MS * 2 ** this._failures[part], RUN_MS);
      this._failures[part] += 1;
      if (this._dueAt[part] > 0) {
        this._dueAt[part] = Date.now() + wait;
        this._retryTimers[part] = setTimeout(() => void this._retry(part), wait);
      }
      // Until it has read its data a run has no folder.
      const isNone = part === 'run' && run === null && job !== null && isActive(job);
      this._tell(part, isNone ? null : toProblem(error));
    }
  }

  private async _retry(part: Part): Promise<void> {
    if (this._isDisposed || this._options.isHidden()) {
      return; // once it is shown again all is asked for
    }
    if (document.hidden) {
      this._retryTimers[part] = setTimeout(() => void this._retry(part), RUN_MS);
      return;
    }
    this._dueAt[part] = 0; // not forgotten while the other is asked for
    await this._askDue();
  }

  private async _askRun(): Promise<void> {
    if (this._name === '') {
      return;
    }
    const { job, run: before } = this._picture;
    const run = sameOr(before, await this._options.store.client.run(this._name));
    const isReplaced = run.id !== '' && run.id !== this._options.jobId;
    const isBegun = job !== null && isActive(job);
    this._set({ run: isReplaced ? null : run, isReplaced: isReplaced && !isBegun });
    if (before === null) {
      this._dueAt.curves = Math.min(this._dueAt.curves, Date.now()); // which waited for it
    }
    if (!isReplaced && run.folder !== this._folder) {
      this._folder = run.folder;
      this._options.onFolder(run.folder);
    }
  }

  private async _askCurves(): Promise<void> {
    const { run, curves: known } = this._picture;
    if (run === null) {
      this._set({ curves: null });
      return;
    }
    const { client } = this._options.store;
    const news = await client.curves(this._name, known === null ? {} : { after: known.last_step });
    const joined = known === null ? news : joinCurves(known, news);
    this._set({ curves: joined ?? (await client.curves(this._name)) });
  }

  private _tell(part: Part, problem: IProblem | null): void {
    this._problems[part] = problem;
    const { run, curves } = this._problems;
    const told = run ?? curves ?? null;
    if (told !== this._picture.problem) {
      this._set({ problem: told });
    }
  }

  private _set(change: Partial<IRunPicture>): void {
    if (!this._isDisposed) {
      this._picture = { ...this._picture, ...change };
      this._listeners.forEach(listener => listener());
    }
  }

  private _dueAt: Record<Part, number> = { curves: 0, run: 0 };
  private readonly _failures: Record<Part, number> = { curves: 0, run: 0 };
  private _folder: string;
  private _isAsking = false;
  private _isDisposed = false;
  private readonly _listeners = new Set<() => void>();
  private _picture = NOTHING;
  private readonly _problems: Partial<Record<Part, IProblem | null>> = {};
  private readonly _retryTimers: Partial<Record<Part, ReturnType<typeof setTimeout>>> = {};
  private readonly _unsubscribe: () => void;
  private readonly _watch: JobWatch;
}

/** What is known where what was found is equal: then nothing is drawn again. */
function sameOr<T>(known: T | null, found: T): T {
  return known !== null && JSON.stringify(known) === JSON.stringify(found) ? known : found;
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
