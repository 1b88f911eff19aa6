/** What a newcomer is told to do next: until that was closed, or until there was a fine-tune. */

import { isHere } from '../domain/cache';
import { PRACTICE_MODEL } from '../domain/models';
import type { ISnapshot } from './snapshot';

/** How far somebody is: nothing is known yet; there is no model; there is one; there was a fine-tune. */
export type Standing = 'unknown' | 'new' | 'ready' | 'tuned';

/** How far somebody is, as the server tells. */
export function standingOf({ status, cache, jobs }: ISnapshot): Standing {
  if (jobs.some(({ kind }) => kind === 'finetune')) {
    return 'tuned';
  }
  if (status === null || cache === null) {
    return 'unknown';
  }
  // Whoever has moved a cache, or looked after one, had a model.
  const isNew = jobs.every(({ kind }) => kind === 'download');
  return cache.models.some(isHere) ? 'ready' : isNew ? 'new' : 'unknown';
}

/** The model to begin with of those that are here: rather not the one for practice; empty where there is none. */
export function modelToTune({ cache }: ISnapshot): string {
  const names = (cache?.models ?? []).filter(isHere).map(each => each.model_name);
  return names.find(name => name !== PRACTICE_MODEL) ?? names[0] ?? '';
}

/** Remembers in the user's settings that the hint has had its time. */
export class FirstSteps {
  constructor(private readonly _options: FirstSteps.IOptions) {}

  /** Whether there is a place where its end is remembered, and it has not ended. */
  get isWanted(): boolean {
    return this._isWanted;
  }

  /**
   * Take what the settings say.
   *
   * @param keepEnd - Writes its end into them.
   */
  follow(isWanted: boolean, keepEnd: () => Promise<void>): void {
    this._keepEnd = keepEnd;
    this._isWanted = isWanted;
    this._options.onChange();
  }

  /** Never say it again. */
  end(): void {
    if (this._isWanted) {
      this._isWanted = false;
      this._options.onChange();
      // Settings that cannot be written are as they were on the next page.
      void this._keepEnd().catch(() => undefined);
    }
  }

  private _isWanted = false;
  private _keepEnd = (): Promise<void> => Promise.resolve();
}

/** A namespace for `FirstSteps` statics. */
export namespace FirstSteps {
  /** Who is told. */
  export interface IOptions {
    readonly onChange: () => void;
  }
}
