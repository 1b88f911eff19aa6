/** How questions are asked: what a person has typed, and what it means. */

import type { ReadonlyJSONObject } from '@lumino/coreutils';

import { flag, json, text } from '../api/read';
import type { ISampling, Side } from './protocol';
import { SIDES } from './protocol';

/** What is typed; an empty number means the model's own. */
export type Form = {
  readonly system: string;
  readonly thinking: boolean;
  readonly sides: Side | 'both';
  readonly temperature: string;
  readonly top_p: string;
  readonly top_k: string;
  readonly max_new_tokens: string;
  readonly seed: string;
};

/** Nothing is typed. */
export const EMPTY_FORM: Form = {
  system: '',
  thinking: false,
  sides: 'both',
  temperature: '',
  top_p: '',
  top_k: '',
  max_new_tokens: '',
  seed: ''
};

/** A number that can be chosen: what the kernel takes, as it does. */
interface IRange {
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** Whether `min` itself is too small. */
  readonly isAbove?: boolean;
}

/** The numbers, in the order of the form. */
export const RANGES = {
  temperature: { min: 0, max: 5, step: 0.1 },
  top_p: { min: 0, max: 1, step: 0.05, isAbove: true },
  top_k: { min: 0, max: 1_000_000, step: 1 },
  max_new_tokens: { min: 1, max: 1_000_000, step: 1 },
  seed: { min: 0, max: 2 ** 32 - 1, step: 1 }
} as const satisfies Readonly<Record<string, IRange>>;

/** The names of the numbers. */
export type NumberName = keyof typeof RANGES;

/** The names of the numbers, in the order of the form. */
export const NUMBER_NAMES: ReadonlyArray<NumberName> = [
  'temperature',
  'top_p',
  'top_k',
  'max_new_tokens',
  'seed'
];

/** Whether what is typed is a number that can be used, or nothing. */
export function isUsable(name: NumberName, typed: string): boolean {
  if (typed.trim() === '') {
    return true;
  }
  const range: IRange = RANGES[name];
  const value = Number(typed);
  const isWhole = range.step !== 1 || Number.isInteger(value);
  return isWhole && (range.isAbove ? value > range.min : value >= range.min) && value <= range.max;
}

/** What the kernel is given; what is left out is the model's own. What cannot be used it refuses by its name. */
export function optionsOf(form: Form): ReadonlyJSONObject {
  const typed = NUMBER_NAMES.filter(name => form[name].trim() !== '');
  const valueOf = (text: string) => (Number.isFinite(Number(text)) ? Number(text) : text);
  return {
    thinking: form.thinking,
    ...Object.fromEntries(typed.map(name => [name, valueOf(form[name])]))
  };
}

/** The model's own value of a number, empty where it has none. */
export function ownValue(name: NumberName, sampling: ISampling): string {
  return name === 'seed' ? '' : String(Math.round(sampling[name] * 1000) / 1000);
}

/** The sides that answer. */
export function sidesOf(form: Form): ReadonlyArray<Side> {
  return form.sides === 'both' ? SIDES : [form.sides];
}

/** What was typed before the page was reloaded. */
export function readForm(value: unknown): Form {
  const found = json(value);
  const known: ReadonlyArray<Form['sides']> = ['both', 'base', 'tuned'];
  return {
    ...EMPTY_FORM,
    ...Object.fromEntries(NUMBER_NAMES.map(name => [name, text(found[name])])),
    system: text(found.system),
    thinking: flag(found.thinking),
    sides: known.find(side => side === found.sides) ?? 'both'
  };
}
