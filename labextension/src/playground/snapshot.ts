/** What is shown of a playground. */

import type { Form } from './form';
import type { ITold } from './protocol';
import type { IRefusal, Line } from './session';

/** All that is shown. */
export interface ISnapshot {
  readonly line: Line;
  readonly refusal: IRefusal | null;
  readonly told: ITold;
  readonly model: string;
  readonly adapter: string;
  readonly spec: string;
  /** The model and kind of kernel that were loaded last, as `loadKey` writes them. */
  readonly loaded: string;
  readonly form: Form;
  /** Whether a stop was asked for and has not come about. */
  readonly isStopping: boolean;
  /** Whether the kernel was ended because it went on with a load that was stopped. */
  readonly isEnded: boolean;
}

/** What tells whether something else than before is to be loaded. */
export function loadKey({ model, adapter, spec }: Pick<ISnapshot, 'model' | 'adapter' | 'spec'>): string {
  return JSON.stringify([model, adapter, spec]);
}
