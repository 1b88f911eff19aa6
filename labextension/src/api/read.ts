/** The border at which JSON, which may be anything, becomes typed values. */

/** A JSON object whose fields are not known yet. */
export type Json = Readonly<Record<string, unknown>>;

/** Makes a value of one type of whatever it is given. */
export type Reader<T> = (value: unknown) => T;

/** The server answered something that is not what was asked for. */
export class BadAnswer extends Error {
  /** @param what - The field that is missing or of the wrong kind. */
  constructor(readonly what: string) {
    super(`The server's answer has no usable ${what}.`);
    this.name = 'BadAnswer';
  }
}

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object that an answer, or a part of one, has to be. */
export function record(value: unknown, what: string): Json {
  if (!isRecord(value)) {
    throw new BadAnswer(what);
  }
  return value;
}

/** The text of a field that may be anything. */
export function text(value: unknown): string {
  if (typeof value === 'string') {
    return value;
  }
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** The finite number of a field that may be anything, else null. */
export function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The items of a field that may be anything. */
export function list(value: unknown): ReadonlyArray<unknown> {
  return Array.isArray(value) ? value : [];
}

/** A number that is 0 where nothing is said. */
export const count: Reader<number> = value => number(value) ?? 0;

/** Whether something is so; what is not said is not. */
export const flag: Reader<boolean> = value => value === true;

/** An object whose fields nobody has described. */
export const json: Reader<Json> = value => (isRecord(value) ? value : {});

/** An object of numbers; what is none, as a loss that diverged, is left out. */
export const numbers: Reader<Readonly<Record<string, number>>> = value =>
  Object.fromEntries(
    Object.entries(json(value)).flatMap(([key, one]) => {
      const read = number(one);
      return read === null ? [] : [[key, read]];
    })
  );

/** A list, item by item. */
export const each =
  <T>(read: Reader<T>): Reader<ReadonlyArray<T>> =>
  value =>
    list(value).map(read);

/** An object where there is one, else null. */
export const maybe =
  <T>(read: Reader<T>): Reader<T | null> =>
  value =>
    isRecord(value) ? read(value) : null;

/** A text that names a thing: without it the answer is of no use. */
export const needed =
  (what: string): Reader<string> =>
  value => {
    if (typeof value !== 'string' || value === '') {
      throw new BadAnswer(what);
    }
    return value;
  };

/** All values of a type that is a choice of texts. */
export type Known<T extends string> = Readonly<Record<T, 1>>;

/** One of the values that are known, or what stands for all others. */
export const oneOf =
  <T extends string, Other extends string>(values: Known<T>, other: Other): Reader<T | Other> =>
  value =>
    isKnown(value, values) ? value : other;

function isKnown<T extends string>(value: unknown, values: Known<T>): value is T {
  return typeof value === 'string' && Object.prototype.hasOwnProperty.call(values, value);
}

type Values<F> = { readonly [K in keyof F]: F[K] extends Reader<infer V> ? V : never };

/** A type without the null for which a reader may have another value. */
type Given<T> =
  T extends ReadonlyArray<infer Item>
    ? ReadonlyArray<Given<Item>>
    : T extends object
      ? { readonly [K in keyof T]: Given<T[K]> }
      : NonNullable<T>;

/** The fields that a schema does not have, or of which it has values that the reader does not give. */
type Wrong<Schema, F> = {
  [K in keyof F]: K extends keyof Schema
    ? F[K] extends Reader<infer V>
      ? Given<Schema[K]> extends V
        ? never
        : K
      : K
    : K;
}[keyof F];

/**
 * An object of a schema, field by field: `object<Schemas['Log']>()('log', { text, next_offset: count })`.
 *
 * What openapi.yaml does not describe in that way is no reader, and does not compile.
 */
export const object =
  <Schema>() =>
  <F extends Readonly<Record<string, Reader<unknown>>>>(what: string, fields: F) => {
    const read = (value: unknown) => {
      const found = record(value, what);
      return Object.fromEntries(Object.entries(fields).map(([name, reader]) => [name, reader(found[name])]));
    };
    // TypeScript does not follow types through the entries of an object.
    return read as [Wrong<Schema, F>] extends [never] ? Reader<Values<F>> : Wrong<Schema, F>;
  };
