/** What somebody has filled in, and the config that it stands for. Pure. */

import type { Json } from '../api/read';
import { isRecord, list, text } from '../api/read';
import { PRACTICE_CONFIG, PRACTICE_MODEL } from '../domain/models';
import type { IField } from './fields';

/** What stands in a field: as it was typed, ticked, or listed. */
export type Value = string | boolean | ReadonlyArray<string>;

/** A form as it is kept: a page that is reloaded finds it again. */
export interface IDraft {
  /** By whole names; what is not here is left to its default. */
  readonly values: Readonly<Record<string, Value>>;
  /** Fields of a file that the form does not know, as they are. */
  readonly rest: Json;
  /** The file that it was opened from, or saved to. */
  readonly path: string;
  /** The job that was started from it last. */
  readonly jobId: string;
}

/** A form in which nothing stands. */
export const EMPTY: IDraft = { values: {}, rest: {}, path: '', jobId: '' };

/** The form for a model and data: a balanced run; of the practice model, what it learns well with. */
export function newDraft(modelName: string, data: ReadonlyArray<string>): IDraft {
  // Plain text has no questions and answers.
  const isText = data.length > 0 && data.every(each => each.toLowerCase().endsWith('.txt'));
  return {
    ...EMPTY,
    values: {
      ...(modelName !== '' && { model: modelName }),
      ...(data.length > 0 && { data }),
      ...goalOf(modelName),
      ...(isText && { objective: 'pretrain' }),
      method: 'lora'
    }
  };
}

/** What another model changes: a goal that nobody has touched becomes the one that suits it. */
export function changesFor(draft: IDraft, modelName: string): Readonly<Record<string, Value | null>> {
  const [before, after] = [goalOf(text(draft.values.model)), goalOf(modelName)];
  const isOwn = [...Object.keys(before), ...Object.keys(after)].some(
    name => draft.values[name] !== before[name]
  );
  const dropped = Object.fromEntries(Object.keys(before).map(name => [name, null]));
  return { ...(isOwn ? {} : { ...dropped, ...after }), model: modelName };
}

/** How a model learns well, until somebody says something else. */
function goalOf(modelName: string): Readonly<Record<string, Value>> {
  return modelName === PRACTICE_MODEL ? PRACTICE_CONFIG : { preset: 'balanced' };
}

/** Change fields; null takes one back to its default. */
export function withValues(draft: IDraft, changes: Readonly<Record<string, Value | null>>): IDraft {
  const values = { ...draft.values };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) {
      delete values[name];
    } else {
      values[name] = value;
    }
  }
  return { ...draft, values };
}

/** The config that a form stands for; what should be a number and is none goes as it was typed, to be told so. */
export function toConfig(draft: IDraft, fields: ReadonlyArray<IField>): Json {
  const config: Record<string, unknown> = {};
  for (const field of fields) {
    const value = draft.values[field.name];
    if (value === undefined) {
      continue;
    }
    const [group, inner] = field.name.split('.', 2);
    if (inner === undefined) {
      config[group] = toValue(field, value);
    } else {
      const within = isRecord(config[group]) ? config[group] : {};
      config[group] = { ...within, [inner]: toValue(field, value) };
    }
  }
  for (const [name, value] of Object.entries(draft.rest)) {
    const within = config[name];
    config[name] = isRecord(within) && isRecord(value) ? { ...within, ...value } : value;
  }
  return config;
}

/** The form of a config. */
export function fromConfig(config: Json, fields: ReadonlyArray<IField>, path: string): IDraft {
  const values: Record<string, Value> = {};
  const rest: Record<string, unknown> = { ...config };
  for (const field of fields) {
    const [group, inner] = field.name.split('.', 2);
    const within = config[group];
    const given = inner === undefined ? within : isRecord(within) ? within[inner] : undefined;
    const value = fromValue(field, given);
    if (value !== null) {
      values[field.name] = value;
      drop(rest, group, inner);
    } else if (given === null) {
      drop(rest, group, inner); // which says nothing
    }
  }
  return { ...EMPTY, values, rest, path };
}

/** Take what has been read out of the rest, and a group with it that is empty then. */
function drop(rest: Record<string, unknown>, group: string, inner: string | undefined): void {
  const within = rest[group];
  if (inner !== undefined && isRecord(within)) {
    const others = without(within, inner);
    rest[group] = others;
    if (Object.keys(others).length > 0) {
      return;
    }
  }
  delete rest[group];
}

/** An object without one of its fields. */
export function without(fields: Json, name: string): Json {
  return Object.fromEntries(Object.entries(fields).filter(([each]) => each !== name));
}

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

function toValue(field: IField, value: Value): unknown {
  if (typeof value !== 'string') {
    return value;
  }
  const typed = value.trim();
  switch (field.kind) {
    case 'number':
      return NUMBER.test(typed) ? Number(typed) : typed;
    case 'choice':
      return typed === 'true' ? true : typed === 'false' ? false : typed;
    case 'list':
    case 'lines': {
      if (field.words.includes(typed) && !field.name.includes('report')) {
        return typed;
      }
      const items = typed.split(field.kind === 'list' ? /[,，\n]/ : /\n/).map(item => item.trim());
      return items.filter(item => item !== '');
    }
    default:
      return typed;
  }
}

/** What stands in a field for a value of a config, null for none that it can show. */
function fromValue(field: IField, given: unknown): Value | null {
  if (given === undefined || given === null) {
    return null;
  }
  if (field.name === 'data') {
    return Array.isArray(given) ? given.map(text) : [text(given)];
  }
  if (field.kind === 'flag') {
    return typeof given === 'boolean' ? given : null;
  }
  if (Array.isArray(given)) {
    const items = list(given).map(text);
    switch (field.kind) {
      case 'list':
        return items.join(', ');
      case 'lines':
        return items.join('\n');
      case 'number': // of which there may be a list, which one number would be taken for
        return `[${items.join(', ')}]`;
      default:
        return null;
    }
  }
  return isRecord(given) ? null : text(given);
}
