/** Whether a model fits into the memory that there is, by what one does with it. Pure. */

import type { IMachine, IModel } from '../api/answers';
import type { ILanguage } from './language';

/** What one does with a model, from the least memory to the most. */
export const METHODS = ['load', 'qlora', 'lora', 'full'] as const;

export type Method = (typeof METHODS)[number];

/** The share of the memory from which on it is too close to tell: an estimate is right to about a tenth. */
const TIGHT = 0.9;

/** How a need and what there is compare. */
export type Fit = 'fits' | 'tight' | 'too-large' | 'unknown';

/** Compare the memory that a method takes with what there is, both in bytes; null where it is not known. */
export function fitOf(need: number | null, machine: IMachine | null): Fit {
  if (need === null || machine === null || machine.total_bytes === 0) {
    return 'unknown';
  }
  const share = need / machine.total_bytes;
  return share > 1 ? 'too-large' : share > TIGHT ? 'tight' : 'fits';
}

/** The method that takes the most memory of those by which a model can be fine-tuned here; null if there is none. */
export function bestMethod(entry: IModel, machine: IMachine | null): Method | null {
  const able = METHODS.slice(1).filter(method => fitOf(entry.memory_bytes[method], machine) === 'fits');
  return able.length > 0 ? able[able.length - 1] : null;
}

/** Whether a model can be fine-tuned here; one of which nothing is known is not ruled out. */
export function mayFit(entry: IModel, machine: IMachine | null): boolean {
  const fits = METHODS.slice(1).map(method => fitOf(entry.memory_bytes[method], machine));
  return fits.some(fit => fit !== 'too-large');
}

/** What a method is called in a table. */
export function methodWords(method: Method, { trans }: ILanguage): string {
  const words: Record<Method, string> = {
    load: trans.__('Load'),
    qlora: trans.__('QLoRA'),
    lora: trans.__('LoRA'),
    full: trans.__('Full fine-tuning')
  };
  return words[method];
}

/** What a fit is called. */
export function fitWords(fit: Fit, { trans }: ILanguage): string {
  const words: Record<Fit, string> = {
    fits: trans.__('fits'),
    tight: trans.__('too close to tell'),
    'too-large': trans.__('too large'),
    unknown: ''
  };
  return words[fit];
}
