import type { IAbsentData } from '../api/finetune';
import type { Store } from '../state/store';

/**
 * Return the data sets that are to be fetched, by the hub that has them and how large they are where one has told.
 *
 * @param names - What is not on this disk; where no hub was named, by the preferred one, whether or not it has it.
 * @param told - What plan and preview know.
 */
export function asTold(
  names: ReadonlyArray<string>,
  told: ReadonlyArray<IAbsentData>
): ReadonlyArray<IAbsentData> {
  const sized = told.filter(each => each.size !== null);
  const found = names.map(
    name =>
      sized.find(each => each.name === name) ??
      sized.find(each => withoutHub(each.name) === withoutHub(name)) ?? { name, size: null }
  );
  return found.filter((each, at) => found.findIndex(other => other.name === each.name) === at);
}

function withoutHub(name: string): string {
  return name.replace(/^(hf|ms):/, '');
}

/**
 * How much of what a fine-tune needs is here; more than before means that something has arrived.
 *
 * @param absent - Data sets on a hub that are not on this disk.
 */
export function countHere(store: Store, modelName: string, absent: ReadonlyArray<string>): number {
  const isModelHere = store.snapshot.models.some(each => each.model_name === modelName && each.cached);
  return Number(isModelHere) - absent.filter(name => isComing(store, name)).length;
}

/** Whether it is being fetched from either hub: which one has it may not have been known. */
function isComing(store: Store, name: string): boolean {
  return ['hf', 'ms'].some(hub => store.isDownloading(`${hub}:${withoutHub(name)}`));
}
