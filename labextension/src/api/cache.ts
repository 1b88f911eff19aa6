/** What the server answers to those who delete or move what is cached; like `answers.ts`. */

import type { components } from './openapi';
import { count, each, needed, number, object, text } from './read';

type Schemas = components['schemas'];

/** Read the answer to the deletion of models: files that lay beside them and were kept, and models that stay, and why. */
export const parseKept = object<Schemas['Evicted']>()('deletion', { left: each(text), kept: each(text) });

/** What a deletion kept. */
export type IKept = ReturnType<typeof parseKept>;

/** Read the answer of `POST /models/cache/move` to a dry run. */
export const parseMovePlan = object<Schemas['MovePlan']>()('plan', {
  source: text,
  target: needed('folder'),
  folders: each(text),
  size_bytes: count,
  bytes_to_copy: count,
  free_bytes: number,
  missing_bytes: count,
  stays: each(text),
  origin: text
});

/** What a move of the cache would do. */
export type IMovePlan = ReturnType<typeof parseMovePlan>;
