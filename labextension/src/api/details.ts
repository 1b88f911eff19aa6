/** What the server tells of one model, as typed values. */

import type { components } from './openapi';
import { count, each, flag, needed, number, object, text } from './read';

type Schemas = components['schemas'];

const parseFile = object<NonNullable<Schemas['ModelDetails']['files']>[number]>()('file', {
  path: text,
  size: count,
  sha256: text,
  git_sha1: text
});

/** A file of a model, as its manifest or a hub lists it. */
export type IModelFile = ReturnType<typeof parseFile>;

const files = each(parseFile);

const parseSource = object<Schemas['SourceRate']>()('source', {
  name: needed('name'),
  bytes: count,
  seconds: count,
  ended: count,
  rate: count
});

/** What a source gave in the latest download that it had a part in. */
export type ISourceRate = ReturnType<typeof parseSource>;

/** Read the answer of `GET /models/details`; files that are not known are null. */
export const parseDetails = object<Schemas['ModelDetails']>()('details', {
  model_name: needed('model name'),
  cached: flag,
  hub: text,
  revision: text,
  commit: text,
  files: (value: unknown) => (Array.isArray(value) ? files(value) : null),
  sources: each(parseSource)
});

/** The files of a model, and how fast sources were. */
export type IDetails = ReturnType<typeof parseDetails>;

/** Read the answer of `GET /models/card`; the text is null where no hub was asked for it. */
export const parseCard = object<Schemas['ModelCard']>()('card', {
  model_name: needed('model name'),
  text: (value: unknown) => (typeof value === 'string' ? value : null),
  license: text,
  hub: text
});

/** What a model's README.md says. */
export type ICard = ReturnType<typeof parseCard>;

/** Read the answer of `GET /models/name`. */
export const parseNamed = object<Schemas['NamedModel']>()('name', {
  model_name: needed('model name'),
  revision: text
});

/** What a person means by a name or an address; what they do not say is empty. */
export type INamed = ReturnType<typeof parseNamed>;

/** Read the answer of `GET /datasets/find`. */
export const parseFoundDataset = object<Schemas['FoundDataset']>()('data set', {
  name: needed('name'),
  size: number
});

/** A data set by the name of the hub that has it. */
export type IFoundDataset = ReturnType<typeof parseFoundDataset>;

const parseNewsOf = object<Schemas['ModelNews']>()('news', {
  model_name: needed('model name'),
  slug: text,
  hub: text,
  latest: text,
  checked: number,
  problem: text
});

/** What a hub said of a cached model. */
export type INews = ReturnType<typeof parseNewsOf>;

/** Read the answers of `/models/updates`. */
export const parseNews = (value: unknown): ReadonlyArray<INews> =>
  object<Schemas['Updates']>()('updates', { models: each(parseNewsOf) })(value).models;
