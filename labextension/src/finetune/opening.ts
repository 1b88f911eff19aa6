/** What a form is opened with: a model, data, a file; or as it was before the page was reloaded. Pure. */

import type { ReadonlyJSONObject } from '@lumino/coreutils';

import type { Json } from '../api/read';
import { isRecord, json, list, text } from '../api/read';
import type { IDraft, Value } from './draft';

/** Data as the context menu of the file browser offers it. */
export const DATA_SUFFIXES: ReadonlyArray<string> = [
  '.jsonl',
  '.json',
  '.csv',
  '.tsv',
  '.parquet',
  '.xlsx',
  '.txt'
];

/** A config as a file. */
export const CONFIG_SUFFIXES: ReadonlyArray<string> = ['.yaml', '.yml'];

/** What the command that opens a form may be told. */
export interface IOpening {
  readonly modelName: string;
  readonly data: ReadonlyArray<string>;
  /** A config in the file browser. */
  readonly path: string;
  /** A config as it is, null for none. */
  readonly config: Json | null;
  /** The form of an earlier page, null for a new one. */
  readonly draft: IDraft | null;
}

/** The arguments, for other extensions and the palette. */
export const OPENING_ARGS: ReadonlyJSONObject = {
  type: 'object',
  properties: {
    modelName: { type: 'string', description: 'The model, for example Qwen/Qwen3-0.6B.' },
    data: {
      description: 'Files in the file browser, and data sets of a hub.',
      oneOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }]
    },
    path: { type: 'string', description: 'A YAML file in the file browser that holds a config.' },
    config: { type: 'object', description: 'The fields of a config.' },
    key: {
      type: 'string',
      description: 'What tells this form from others; one with the same is shown again.'
    },
    draft: { type: 'object', description: 'What stood in a form of an earlier page.' }
  }
};

/** Read the arguments. */
export function readOpening(args: Json): IOpening {
  const data = typeof args.data === 'string' ? [args.data] : list(args.data).map(text);
  return {
    modelName: text(args.modelName),
    data: data.filter(each => each !== ''),
    path: text(args.path),
    config: isRecord(args.config) ? args.config : null,
    draft: isRecord(args.draft) ? readDraft(args.draft) : null
  };
}

/** What tells one form from another: opened again with the same, it is the same form. Empty for a blank one. */
export function keyOf({ modelName, data, path, config }: IOpening): string {
  if (path !== '') {
    return `path ${path}`;
  }
  if (config !== null) {
    return `config ${JSON.stringify(config)}`;
  }
  return data.length > 0 ? `data ${data.join('\n')}` : modelName !== '' ? `model ${modelName}` : '';
}

/** Whether a file has one of these endings. */
export function endsWith(path: string, suffixes: ReadonlyArray<string>): boolean {
  return suffixes.some(suffix => path.toLowerCase().endsWith(suffix));
}

/** Read a form that was kept: what it may have been written by is another version. */
export function readDraft(value: unknown): IDraft {
  const kept = json(value);
  const values: Record<string, Value> = {};
  for (const [name, each] of Object.entries(json(kept.values))) {
    if (typeof each === 'string' || typeof each === 'boolean') {
      values[name] = each;
    } else if (Array.isArray(each)) {
      values[name] = each.map(text);
    }
  }
  return { values, rest: json(kept.rest), path: text(kept.path), jobId: text(kept.jobId) };
}
