/** Turning whatever was thrown into what a person can read. */

import { ServerError } from './request';
import type { IProblem } from './types';
import { BadAnswer } from './types';

/** What went wrong, whatever was thrown. */
export function toProblem(error: unknown): IProblem {
  if (error instanceof ServerError) {
    return { code: error.code, message: error.message, hint: error.hint };
  }
  const code = error instanceof BadAnswer ? 'bad-answer' : 'error';
  return { code, message: error instanceof Error ? error.message : '', hint: '' };
}
