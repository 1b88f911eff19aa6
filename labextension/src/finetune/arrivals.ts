import type { Store } from '../state/store';

/**
 * How much of what a fine-tune needs is here; more than before means that something has arrived.
 *
 * @param absent - Data sets on a hub that are not on this disk.
 */
export function countHere(store: Store, modelName: string, absent: ReadonlyArray<string>): number {
  const isModelHere = store.snapshot.models.some(each => each.model_name === modelName && each.cached);
  return Number(isModelHere) - absent.filter(name => store.isDownloading(name)).length;
}
