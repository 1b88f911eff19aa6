/** What hubs and revisions are called, in every language. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { PRACTICE_MODEL } from './models';

/** A hub's name as it writes itself. */
export function hubName(hub: string): string {
  switch (hub) {
    case 'modelscope':
      return 'ModelScope';
    case 'huggingface':
      return 'Hugging Face';
    default:
      return hub;
  }
}

const HUBS = ['ModelScope', 'Hugging Face'];

/** Whom a model came from, or comes from: a hub, by its name in any spelling, or this package. */
export function originName(model: string, hub: string, trans: TranslationBundle): string {
  const name = hubName(hub);
  return model === PRACTICE_MODEL && HUBS.includes(name) ? trans.__('this package') : name;
}

/** How much of a commit tells it from others. */
const COMMIT_LENGTH = 8;

/** A revision and its commit, each where it is known and says something. */
export function revisionWords(revision: string, commit: string): string {
  const short = commit.slice(0, COMMIT_LENGTH);
  const named = /^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, COMMIT_LENGTH) : revision;
  return named === '' || commit.startsWith(named) ? short || named : `${named} ${short}`.trim();
}
