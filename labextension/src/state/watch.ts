/** The live view of one job. */

import type { IJob, IProblem, Metrics } from '../api/answers';
import type { Client } from '../api/client';
import { isActive } from '../domain/jobs';

/** More points than this no small chart can show. */
const MAX_POINTS = 400;

/** Between two looks at a curve that grows, while its job only moves on. */
const CURVE_MS = 2000;

/** One job with its metrics; the store keeps it fresh while the job runs and somebody sees it. */
export class JobWatch {
  /**
   * @param id - The job's id.
   * @param isHidden - Whether nobody can see it.
   * @param refresh - Asks for the job; resolves once the server answered, in whatever way.
   * @param _end - Called when nobody follows it any more.
   * @param _ask - Asks for more about it, in the place of its metrics.
   */
  constructor(
    readonly id: string,
    readonly isHidden: () => boolean,
    readonly refresh: () => Promise<void>,
    private readonly _end: (watch: JobWatch) => void,
    private readonly _ask?: (job: IJob) => Promise<void>
  ) {}

  /** The job, null until the first answer. */
  job: IJob | null = null;

  /** Its curve so far; only a fine-tune has one. */
  metrics: ReadonlyArray<Metrics> = [];

  /** Why the job cannot be shown as it is now. */
  problem: IProblem | null = null;

  /** Whether nobody follows it any more. */
  isDisposed = false;

  /** Whether the job has moved on since more about it was asked for: nobody saw it. */
  isBehind = false;

  /** Whether nothing more will come: the job ended, or the server does not know it. */
  get isOver(): boolean {
    return this.job === null ? this.problem?.code === 'job-not-found' : !isActive(this.job);
  }

  /** Take what the list tells of the job. */
  hear(job: IJob | undefined): void {
    if (job !== undefined && job !== this.job) {
      this.job = job;
      this.isBehind = true;
    }
  }

  /** Take what the store found, and ask for what is new in the curve. */
  async follow(job: IJob, client: Client): Promise<void> {
    if (this._ask) {
      await this._ask(job);
    } else if (job.kind === 'finetune' && (Date.now() >= this._dueAt || !isActive(job))) {
      this._dueAt = Date.now() + CURVE_MS;
      const { metrics, next_after } = await client.metrics(job.id, this._after);
      this._after = next_after;
      this.metrics = metrics.length > 0 ? thinned([...this.metrics, ...metrics]) : this.metrics;
    }
    this.job = job;
    this.isBehind = false;
    this.problem = null;
  }

  /** Follow it no more. */
  dispose(): void {
    this.isDisposed = true;
    this._end(this);
  }

  /** The number of the last event that the metrics cover. */
  private _after = 0;
  private _dueAt = 0;
}

/** Every second point, and the last, of a curve that has grown too long. */
function thinned(points: ReadonlyArray<Metrics>): ReadonlyArray<Metrics> {
  return points.length <= MAX_POINTS
    ? points
    : points.filter((_, index) => index % 2 === 0 || index === points.length - 1);
}
