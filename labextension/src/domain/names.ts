/** What hubs, sources, owners and revisions are called. */

import type { Owner } from '../api/answers';
import type { Translate } from './language';

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

/** Where bytes come from: a hub by its name, a mirror by its host, a place on this disk by whose it is. */
export function sourceName(source: string, trans: Translate): string {
  const mirror = /^mirror (.+)$/.exec(source);
  if (mirror) {
    return trans.__('mirror %1', mirror[1]);
  }
  switch (source) {
    case 'cache':
      return ownerWord('qwen3ft', trans);
    case 'Hugging Face cache':
      return ownerWord('huggingface', trans);
    case 'ModelScope cache':
      return ownerWord('modelscope', trans);
    case 'other folders':
      return ownerWord('folder', trans);
    case "another tool's partial file":
      return trans.__('What another tool began');
    default:
      return hubName(source);
  }
}

/** Whose copy of a model it is. */
export function ownerWord(owner: Owner, trans: Translate): string {
  switch (owner) {
    case 'qwen3ft':
      return trans.__('This cache');
    case 'shared':
      return trans.__('Shared');
    case 'huggingface':
      return trans.__('Hugging Face’s cache');
    case 'modelscope':
      return trans.__('ModelScope’s cache');
    case 'folder':
      return trans.__('A folder of yours');
  }
}

/** How much of a commit tells it from others. */
const COMMIT_LENGTH = 8;

/** A revision and its commit, each where it is known and says something. */
export function revisionWords(revision: string, commit: string): string {
  const short = commit.slice(0, COMMIT_LENGTH);
  const named = /^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, COMMIT_LENGTH) : revision;
  return named === '' || commit.startsWith(named) ? short || named : `${named} ${short}`.trim();
}
