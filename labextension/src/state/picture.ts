/** What is shown of a run. */

import type { IJob, IProblem } from '../api/answers';
import type { ICurves, IRun } from '../api/runs';
import type { IRange } from '../domain/curves';

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
  /** Whether the server has no job of that name any more. */
  readonly isForgotten: boolean;
  /** Whether a later run has taken its folder. */
  readonly isReplaced: boolean;
  /** Why its folder or its curves cannot be shown as they are now; what was known before stays. */
  readonly problem: IProblem | null;
}

/** Nothing is known yet. */
export const NOTHING: IRunPicture = {
  job: null,
  run: null,
  curves: null,
  range: null,
  detail: null,
  isForgotten: false,
  isReplaced: false,
  problem: null
};
