/** What the server answers of fine-tunes: what they came to, their curves, and what can be made of them. */

import { parseProblem } from './answers';
import type { components } from './openapi';
import type { Json, Known, Reader } from './read';
import { count, each, flag, isRecord, json, list, maybe, number, object, oneOf, text } from './read';

type Schemas = components['schemas'];
type Asked = Schemas['ReportCard']['asked'][number];

const KINDS: Known<Asked['kind']> = { row: 1, prompt: 1, everyday: 1 };
const ROWS_FROM: Known<Schemas['ReportCard']['rows_from']> = { held_out: 1, training: 1, data: 1 };

/** Which part of a run's curves: steps, and how many points. */
export interface ICurvePart {
  readonly first?: number;
  readonly last?: number;
  readonly points?: number;
  /** Points that end before this step are known. */
  readonly after?: number;
}

/** Numbers by their names, as far as they are known. */
export type Numbers = Readonly<Record<string, number>>;

const byName =
  <T>(read: Reader<T>): Reader<Readonly<Record<string, T>>> =>
  value =>
    Object.fromEntries(Object.entries(json(value)).map(([name, one]) => [name, read(one)]));

const parseNumbers: Reader<Numbers> = value =>
  Object.fromEntries(
    Object.entries(json(value)).flatMap(([name, one]) => {
      const read = number(one);
      return read === null ? [] : [[name, read]];
    })
  );

/** A text, null where there is none. */
const maybeText: Reader<string | null> = value => (typeof value === 'string' ? value : null);

const parseAsked = object<Asked>()('answer', {
  kind: oneOf(KINDS, 'row'),
  prompt: text,
  reference: maybeText,
  before: maybeText,
  after: maybeText,
  during: byName(text)
});

/** What was asked, and how it was answered before, while it learned, and after. */
export type IAsked = ReturnType<typeof parseAsked>;

/** Numbers before and after. */
export interface IBeforeAfter {
  readonly before: Numbers;
  readonly after: Numbers;
}

const parseBeforeAfter: Reader<IBeforeAfter> = value => {
  const { before, after } = json(value);
  return { before: parseNumbers(before), after: parseNumbers(after) };
};

/** Read a report card. */
export const parseReport = (value: unknown) => {
  const found = json(value);
  return {
    rowsFrom: oneOf(ROWS_FROM, 'data')(found.rows_from),
    rows: count(found.rows),
    heldOut: parseBeforeAfter(found.held_out),
    scores: parseBeforeAfter(found.scores),
    everydayKept: number(found.everyday_kept),
    asked: list(found.asked).filter(isRecord).map(parseAsked),
    planned: parseNumbers(found.planned),
    actual: parseNumbers(found.actual)
  };
};

/** Did it learn, did it forget? */
export type IReport = ReturnType<typeof parseReport>;

/** What stands in the record of a run beside its config. */
const NO_FIELDS = new Set(['made_by', 'run_id', 'base_commit', 'data_sha256', 'versions', 'plan', 'parent']);

/** Read the answer of `GET /runs/report`. */
export const parseRun = (value: unknown) => {
  const found = json(value);
  const record = json(found.record);
  return {
    folder: text(found.folder),
    id: text(record.run_id),
    config: Object.fromEntries(Object.entries(record).filter(([name]) => !NO_FIELDS.has(name))) as Json,
    plan: json(record.plan),
    versions: json(record.versions),
    result: isRecord(found.result) ? found.result : null,
    report: isRecord(found.report) ? parseReport(found.report) : null,
    numbers: parseNumbers(found.numbers)
  };
};

/** A fine-tune, finished or not, as its output folder tells of it. */
export type IRun = ReturnType<typeof parseRun>;

const parseSeries = object<Schemas['RunSeries']>()('curve', {
  stride: (value: unknown) => Math.max(1, count(value)),
  start: count,
  steps: each(count),
  means: each(count),
  lows: each(count),
  highs: each(count)
});

/** A curve, or a part of one: a point for each `stride` values. */
export type ISeries = ReturnType<typeof parseSeries>;

/** Read the answer of `GET /runs/curves`. */
export const parseCurves = object<Schemas['RunCurves']>()('curves', {
  version: text,
  last_step: count,
  series: byName(parseSeries)
});

/** The curves of a run, by the names of the metrics. */
export type ICurves = ReturnType<typeof parseCurves>;

/** Read the answer of `GET /runs/compare`. */
export const parseComparison = object<Schemas['Comparison']>()('comparison', {
  names: each(text),
  fields: byName(list),
  numbers: byName(each(number))
});

/** Runs beside each other: where their configs differ, and what each came to. */
export type IComparison = ReturnType<typeof parseComparison>;

/** Read the answer to a dry run of a merge, an export or an evaluation. */
export const parseForeseen = object<Schemas['Foreseen']>()('plan', {
  model_name: text,
  folder: text,
  size_bytes: count,
  free_bytes: number,
  merges: flag,
  is_done: flag,
  data: each(text),
  is_held_out: flag
});

/** What a merge, an export or an evaluation would be. */
export type IForeseen = ReturnType<typeof parseForeseen>;

const parseItem = object<Schemas['PushPlan']['files'][number]>()('file', { path: text, size: count });

/** Read the answer of `POST /runs/push` that is not confirmed. */
export const parsePushPlan = object<Schemas['PushPlan']>()('plan', {
  hub: text,
  repo_id: text,
  page: text,
  private: (value: unknown) => value !== false,
  files: each(parseItem),
  size: count,
  left: each(text),
  exists: flag,
  exists_private: (value: unknown) => (typeof value === 'boolean' ? value : null),
  present: each(text),
  problem: maybe(parseProblem)
});

/** What a push would upload, and who would see it. */
export type IPushPlan = ReturnType<typeof parsePushPlan>;

/** Read the answer of `GET /finetune/schema`: the value of each field where it is not given. */
export const parseDefaults: Reader<Json> = value => {
  const schema = json(value);
  const definitions = json(schema.$defs);
  return Object.fromEntries(
    Object.entries(json(schema.properties)).flatMap(([name, field]) => {
      const { default: given } = json(field);
      const reference = text(json(field).$ref).split('/').pop() ?? '';
      const inner = isRecord(definitions[reference]) ? parseDefaults(definitions[reference]) : undefined;
      const value = given ?? inner;
      return value === undefined ? [] : [[name, value]];
    })
  );
};
