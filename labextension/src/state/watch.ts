/** The live view of one job. */

import type { IJob, IProblem } from '../api/answers';
import { isActive } from '../domain/jobs';

/** One job with its metrics, kept fresh by the store while the job runs and somebody sees it. */
export class JobWatch {
  constructor(private readonly _options: JobWatch.IOptions) {}

  /** The job's id. */
  get id(): string {
    return this._options.id;
  }

  /** The job, null until the first answer. */
  get job(): IJob | null {
    return this._job;
  }

  /** Why the job cannot be shown as it is now. */
  get problem(): IProblem | null {
    return this._problem;
  }

  /** Whether somebody can see it. */
  get isSeen(): boolean {
    return !this._options.isHidden();
  }

  /** Whether nothing more will come: the job ended, or the server does not know it. */
  get isOver(): boolean {
    return this._job === null ? this._problem?.code === 'job-not-found' : !isActive(this._job);
  }

  /** Whether nobody follows it any more. */
  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Ask for the job; resolves once the server answered, in whatever way. */
  async refresh(): Promise<void> {
    await this._options.refresh();
  }

  /** Take what the store found. */
  update(job: IJob | null, problem: IProblem | null): void {
    this._job = job;
    this._problem = problem;
  }

  /** Follow it no more. */
  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._options.end(this);
    }
  }

  private _isDisposed = false;
  private _job: IJob | null = null;
  private _problem: IProblem | null = null;
}

/** A namespace for `JobWatch` statics. */
export namespace JobWatch {
  /** What a watch is made of. */
  export interface IOptions {
    readonly id: string;
    readonly isHidden: () => boolean;
    readonly refresh: () => Promise<void>;
    readonly end: (watch: JobWatch) => void;
  }
}
