import type { IAbsentData } from '../api/finetune';
import type { Store } from '../state/store';

/**
 * Return the data sets that are to be fetched, by the hub that has them and how large they are where one has told.
 *
 * @param names - What is not on this disk, as it is named: with or without a hub.
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

const HUBS = ['hf', 'ms'];

function withoutHub(name: string): string {
  return name.replace(/^(hf|ms):/, '');
}

/** Whether a name says on which hub a data set is. */
export function namesHub(name: string): boolean {
  return withoutHub(name) !== name;
}

/** The name by which a data set is being fetched, from whichever hub where none is named; null where it is not. */
export function comingAs(store: Store, name: string): string | null {
  const names = namesHub(name) ? [name] : HUBS.map(hub => `${hub}:${name}`);
  return names.find(each => store.isDownloading(each)) ?? null;
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
  return comingAs(store, withoutHub(name)) !== null;
}
