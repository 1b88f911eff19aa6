/** What a playground is opened with. */

import type { ReadonlyJSONObject } from '@lumino/coreutils';

import { json, text } from '../api/read';
import { readForm } from './form';

/** What is opened, and what comes back after a reload of the page. */
export type PlaygroundArgs = {
  /** What tells this playground from others. */
  key: string;
  model: string;
  /** The fine-tune: its job's id or folder; empty for the model as it is. */
  adapter: string;
  /** What it is called, empty where that is not known yet. */
  label: string;
  /** The id of the kernel, empty where there is none. */
  kernel: string;
  /** What kind of kernel was chosen, empty for the usual one. */
  spec: string;
  form: ReadonlyJSONObject;
};

/** What is opened, whatever it was asked with. */
export function readArgs(args: unknown): PlaygroundArgs {
  const found = json(args);
  const [model, adapter, key] = [found.model, found.adapter, found.key].map(text);
  return {
    key: key || (adapter || model ? `${model}|${adapter}` : 'empty'),
    model,
    adapter,
    label: text(found.label),
    kernel: text(found.kernel),
    spec: text(found.spec),
    form: readForm(found.form)
  };
}
