/** The language of the interface, and what is said in it. */

import type { TranslationBundle } from '@jupyterlab/translation';

/** A label and its value. */
export type Pair = readonly [label: string, value: string];

/** The language of the interface: the catalogue of strings and the locale of numbers. */
export interface ILanguage {
  readonly trans: TranslationBundle;
  readonly locale: string;
}
