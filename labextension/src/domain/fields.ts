/** The fields of a fine-tune: what they are set to, and where that differs from something else. Pure. */

import { isRecord, text } from '../api/read';
import type { Json } from '../api/read';

/** A field, and its values in two configs; undefined where one does not have it. */
export interface IField {
  readonly name: string;
  readonly value: unknown;
  readonly other: unknown;
  readonly differs: boolean;
}

/** In these every run differs. */
const UNTOLD = new Set(['output_dir', 'overwrite']);

/** The fields of a config beside another: those of groups by their whole names, in the order of the first. */
export function compareFields(config: Json, other: Json): ReadonlyArray<IField> {
  const [one, two] = [flat(config), flat(other)];
  return [...new Set([...one.keys(), ...two.keys()])]
    .filter(name => !UNTOLD.has(name))
    .map(name => {
      const [value, before] = [one.get(name), two.get(name)];
      // What a config leaves out and what it says is nothing are the same.
      return { name, value, other: before, differs: written(value) !== written(before) };
    });
}

function flat(config: Json): ReadonlyMap<string, unknown> {
  return new Map(
    Object.entries(config).flatMap(([name, value]): ReadonlyArray<[string, unknown]> =>
      isRecord(value) && (name === 'lora' || name === 'dlc')
        ? Object.entries(value).map(([inner, one]) => [`${name}.${inner}`, one])
        : [[name, value]]
    )
  );
}

/** A value as a config in YAML has it; empty for none. */
export function written(value: unknown): string {
  if (value === null || value === undefined) {
    return '';
  }
  return typeof value === 'object' ? (isEmpty(value) ? '' : JSON.stringify(value)) : text(value);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
