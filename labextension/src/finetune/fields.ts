/** The fields of a form, read from the JSON Schema of a fine-tune's config. Pure. */

import type { IProblem } from '../api/answers';
import type { Json } from '../api/read';
import { isRecord, list, text } from '../api/read';
import type { Section } from './sections';
import { SECTIONS, sectionOf } from './sections';

/** How a field is filled in. */
export type FieldKind = 'number' | 'flag' | 'choice' | 'list' | 'lines' | 'text';

/** One field. */
export interface IField {
  /** Its whole name: those of a group begin with the group's, such as `lora.r`. */
  readonly name: string;
  readonly title: string;
  readonly help: string;
  readonly unit: string;
  readonly kind: FieldKind;
  readonly section: Section;
  /** The values of a choice, as they are written. */
  readonly choices: ReadonlyArray<string>;
  /** Words that may stand instead of a number, or of a list. */
  readonly words: ReadonlyArray<string>;
  /** What other fields have to be for it to be of account. */
  readonly needs: ReadonlyArray<INeed>;
}

/** A field, and the values of it with which another is of account. */
export interface INeed {
  readonly name: string;
  readonly values: ReadonlyArray<string>;
}

/** What a refusal is about that names no field. */
const FIELD_OF: Readonly<Record<string, string>> = {
  'bad-data': 'data',
  'bad-name': 'model',
  'unknown-model': 'model',
  'model-not-found': 'model'
};

/** The field that a refusal of the whole is about, by its whole name; empty where that cannot be told. */
export function fieldOf({ code, message }: IProblem): string {
  return /^([a-z_]+(?:\.[a-z_]+)?)(?:: |：)/.exec(message)?.[1] ?? FIELD_OF[code] ?? '';
}

/** Fields whose items may have commas in them: one a line. */
const LINES: ReadonlySet<string> = new Set(['prompts', 'data']);

/** Read the fields, in the order in which a form shows them. */
export function readFields(schema: Json): ReadonlyArray<IField> {
  const found = propertiesOf(schema).flatMap(([name, entry]) => fieldsOf(name, entry, schema));
  return found
    .map((field, index) => ({ field, index }))
    .sort((a, b) => rank(a.field) - rank(b.field) || a.index - b.index)
    .map(({ field }) => field);
}

function fieldsOf(name: string, entry: Json, schema: Json): ReadonlyArray<IField> {
  const group = groupOf(entry, schema);
  if (group !== null) {
    const needs = needsOf(entry); // of all that is in it
    return propertiesOf(group)
      .flatMap(([inner, each]) => fieldsOf(`${name}.${inner}`, each, schema))
      .map(field => ({ ...field, needs: [...needs, ...field.needs] }));
  }
  const columns = isRecord(entry.propertyNames) ? list(entry.propertyNames.enum).map(text) : [];
  if (columns.length > 0) {
    return columns.map(column => ({
      ...describe(`${name}.${column}`, entry, 'list'),
      title: column,
      help: ''
    }));
  }
  return describeOne(name, entry);
}

function describeOne(name: string, entry: Json): ReadonlyArray<IField> {
  const parts = partsOf(entry);
  const types = new Set(parts.map(part => text(part.type)));
  const words = wordsOf(parts);
  if ([...types].join() === 'boolean') {
    return [describe(name, entry, 'flag')];
  }
  if (types.has('array') && !types.has('integer')) {
    return [describe(name, entry, LINES.has(name) ? 'lines' : 'list', { words })];
  }
  if (types.has('number') || types.has('integer')) {
    // A constant leaves no choice.
    return entry.const === undefined ? [describe(name, entry, 'number', { words })] : [];
  }
  const choices = types.has('boolean') ? ['true', 'false', ...words] : words;
  if (choices.length > 0) {
    return [describe(name, entry, 'choice', { choices })];
  }
  return [describe(name, entry, 'text')];
}

function describe(name: string, entry: Json, kind: FieldKind, more: Partial<IField> = {}): IField {
  return {
    name,
    title: text(entry.title),
    help: text(entry.description),
    unit: text(entry['x-unit']),
    kind,
    section: sectionOf(name),
    choices: [],
    words: [],
    needs: needsOf(entry),
    ...more
  };
}

function needsOf(entry: Json): ReadonlyArray<INeed> {
  const needs = isRecord(entry['x-needs']) ? Object.entries(entry['x-needs']) : [];
  return needs.map(([name, values]) => ({ name, values: list(values).map(text) }));
}

function groupOf(entry: Json, schema: Json): Json | null {
  const key = text(entry.$ref).replace('#/$defs/', '');
  const found = isRecord(schema.$defs) ? schema.$defs[key] : undefined;
  return isRecord(found) ? found : null;
}

function partsOf(entry: Json): ReadonlyArray<Json> {
  return Array.isArray(entry.anyOf) ? entry.anyOf.filter(isRecord) : [entry];
}

function wordsOf(parts: ReadonlyArray<Json>): ReadonlyArray<string> {
  return parts.flatMap(part =>
    part.type === 'string' ? [...list(part.enum).map(text), ...(part.const ? [text(part.const)] : [])] : []
  );
}

function propertiesOf(schema: Json): ReadonlyArray<readonly [string, Json]> {
  return isRecord(schema.properties)
    ? Object.entries(schema.properties).flatMap(([name, entry]) =>
        isRecord(entry) ? [[name, entry] as const] : []
      )
    : [];
}

function rank(field: IField): number {
  const sections = Object.keys(SECTIONS);
  const names = SECTIONS[field.section];
  const place = names.findIndex(
    name => name === field.name || (name.endsWith('.') && field.name.startsWith(name))
  );
  return 100 * sections.indexOf(field.section) + (place < 0 ? 99 : place);
}
