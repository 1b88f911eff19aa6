/** The routes of a fine-tune that is being prepared: its fields, what it would be, its data, and its start. */

import type { IJob } from './answers';
import { parseJob } from './answers';
import type { components } from './openapi';
import type { Json, Known, Reader } from './read';
import { count, each, flag, json, maybe, number, object, oneOf, text } from './read';
import type { IServer } from './request';
import { request } from './request';

type Schemas = components['schemas'];

const FITS: Known<Schemas['Fits']> = { yes: 1, no: 1, unknown: 1 };
const BASES: Known<Schemas['Basis']> = { counted: 1, sampled: 1, estimated: 1 };

type Checked = Schemas['CheckedFineTune'];

const parseFieldProblem = object<Checked['problems'][number]>()('problem', {
  fields: each(text),
  message: text
});

/** What is wrong with some fields. */
export type IFieldProblem = ReturnType<typeof parseFieldProblem>;

const parseChecked = object<Checked>()('form', {
  config: json,
  problems: each(parseFieldProblem),
  defaults: json,
  yaml: text,
  absent: each(text)
});

/** A form as it stands. */
export type IChecked = ReturnType<typeof parseChecked>;

type PlannedMemory = Schemas['PlannedMemory'];

const parseChange = object<PlannedMemory['changes'][number]>()('change', {
  fields: json,
  total_bytes: count,
  shortened: count
});

/** Fields with which a run fits. */
export type IChange = ReturnType<typeof parseChange>;

const parsePlannedMemory = object<PlannedMemory>()('memory', {
  weights: count,
  adapter: count,
  gradients: count,
  optimizer: count,
  activations: count,
  logits: count,
  margin: count,
  total: count,
  device: text,
  device_name: text,
  free: count,
  basis: text,
  changes: each(parseChange),
  largest_batch: count,
  largest_length: count,
  devices: count,
  sharding: text,
  largest_model: text
});

/** The memory of a run. */
export type IPlannedMemory = ReturnType<typeof parsePlannedMemory>;

const parseAbsent = object<Schemas['AbsentData'][number]>()('data set', { name: text, size: number });

/** A data set on a hub that is not on this disk; how large it is, null where no hub has told. */
export type IAbsentData = ReturnType<typeof parseAbsent>;

const parsePlan = object<Schemas['FineTunePlan']>()('plan', {
  model: text,
  output_dir: text,
  is_cached: flag,
  download_bytes: number,
  data: object<Schemas['PlannedData']>()('data', {
    rows: count,
    conversations: count,
    held_out: count,
    notices: each(text)
  }),
  tokens: object<Schemas['PlannedTokens']>()('tokens', {
    basis: oneOf(BASES, 'estimated'),
    samples: count,
    tokens: count,
    trained_tokens: count,
    longest: count
  }),
  steps: object<Schemas['PlannedSteps']>()('steps', { total: count, tokens: count }),
  memory: maybe(parsePlannedMemory),
  disk: maybe(object<Schemas['PlannedDisk']>()('disk', { needed: count, free: number })),
  seconds: number,
  rate_from: text,
  notices: each(text),
  absent: each(parseAbsent),
  fits: oneOf(FITS, 'unknown'),
  has_room: (value: unknown) => value !== false
});

/** What a fine-tune would be. */
export type IPlan = ReturnType<typeof parsePlan>;

type PreviewSample = Schemas['Preview']['first'][number];

const parseToken = object<PreviewSample['tokens'][number]>()('token', {
  id: count,
  text,
  is_learned: flag
});

/** One token of a sample. */
export type IToken = ReturnType<typeof parseToken>;

const parseSample = object<PreviewSample>()('sample', {
  number: count,
  answer: oneOf({ '': 1, chosen: 1, rejected: 1 } satisfies Known<PreviewSample['answer']>, ''),
  tokens: each(parseToken)
});

/** One sequence as the model is given it. */
export type ISample = ReturnType<typeof parseSample>;

const parseBin = object<Schemas['Preview']['lengths'][number]>()('bin', {
  low: count,
  high: count,
  count
});

/** How many samples have which lengths. */
export type IBin = ReturnType<typeof parseBin>;

const parsePreview = object<Schemas['Preview']>()('preview', {
  max_length: count,
  rows: count,
  conversations: count,
  empty: count,
  bad: count,
  duplicates: count,
  thinking: count,
  basis: oneOf(BASES, 'estimated'),
  samples: count,
  tokens: count,
  trained_tokens: count,
  longest: count,
  shortened: count,
  left_out: count,
  lengths: each(parseBin),
  first: each(parseSample),
  notices: each(text),
  rows_left_out: each(text),
  absent: each(parseAbsent)
});

/** The data as the model will see it. */
export type IPreview = ReturnType<typeof parsePreview>;

/** Typed access to these routes; every method throws `ServerError` or `BadAnswer`, and stops when it is told to. */
export class FineTuneClient {
  constructor(private readonly _server: IServer) {}

  /** The fields there are, as a JSON Schema. */
  async schema(): Promise<Json> {
    return json((await request(this._server, ['finetune', 'schema'])).body);
  }

  /**
   * What is wrong with a config.
   *
   * @param config - Its fields, or the YAML of them.
   * @param folders - Where the paths of the config begin, and where those of the YAML do.
   */
  async check(
    config: Json | string,
    folders: { readonly base?: string; readonly folder?: string } = {},
    signal?: AbortSignal
  ): Promise<IChecked> {
    const given = Object.fromEntries(Object.entries(folders).filter(([, folder]) => folder));
    return this._ask(parseChecked, ['check'], { config, ...given }, signal);
  }

  /** What a fine-tune would be; roughly, and at once, or as closely as can be told. */
  async plan(config: Json, rough: boolean, signal?: AbortSignal): Promise<IPlan> {
    return this._ask(parsePlan, ['plan'], { config, rough }, signal);
  }

  /** The data as the model will see it. */
  async preview(config: Json, samples: number, signal?: AbortSignal): Promise<IPreview> {
    return this._ask(parsePreview, ['preview'], { config, count: samples }, signal);
  }

  /** Start it. */
  async start(config: Json, signal?: AbortSignal): Promise<IJob> {
    return this._ask(parseJob, [], { config }, signal);
  }

  private async _ask<T>(
    read: Reader<T>,
    path: ReadonlyArray<string>,
    body: Json,
    signal?: AbortSignal
  ): Promise<T> {
    return read((await request(this._server, ['finetune', ...path], { method: 'post', body, signal })).body);
  }
}
