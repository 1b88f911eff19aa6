/** What a form is opened with: a model, data, a file; or as it was before the page was reloaded. Pure. */

import type { ReadonlyJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { isRecord, json, list, text } from '../api/read';
import type { IDraft, Value } from './draft';

/** Data as the context menu of the file browser offers it. */
export const DATA_SUFFIXES: ReadonlyArray<string> = ['.jsonl', '.json', '.csv', '.tsv', '.parquet', '.txt'];

/** A config as a file. */
export const CONFIG_SUFFIXES: ReadonlyArray<string> = ['.yaml', '.yml'];

/** What the command that opens a form may be told. */
export interface IOpening {
  readonly modelName: string;
  readonly data: ReadonlyArray<string>;
  /** A config in the file browser. */
  readonly path: string;
  /** The form of an earlier page, null for a new one. */
  readonly kept: { readonly id: string; readonly key: string; readonly draft: IDraft } | null;
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
    id: { type: 'string', description: 'Of a form that is restored.' },
    key: { type: 'string', description: 'What that form was opened with.' },
    draft: { type: 'object', description: 'What stood in it.' }
  }
};

/** Read the arguments. */
export function readOpening(args: ReadonlyPartialJSONObject): IOpening {
  const data = typeof args.data === 'string' ? [args.data] : list(args.data).map(text);
  const id = text(args.id);
  return {
    modelName: text(args.modelName),
    data: data.filter(each => each !== ''),
    path: text(args.path),
    kept: id !== '' && isRecord(args.draft) ? { id, key: text(args.key), draft: readDraft(args.draft) } : null
  };
}

/** What tells one form from another: opened again with the same, it is the same form. Empty for a blank one. */
export function keyOf({ modelName, data, path, kept }: IOpening): string {
  if (kept !== null) {
    return kept.key;
  }
  if (path !== '') {
    return `path ${path}`;
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
