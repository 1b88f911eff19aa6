/** Whether a newcomer is told what to do first: until that was closed, or until something has been done. */

import { isHere } from '../domain/cache';
import type { ISnapshot } from './snapshot';

/** How far somebody is: nothing is known yet; nothing was ever done; there is a model, or there was a job. */
export type Standing = 'unknown' | 'new' | 'begun';

/** How far somebody is, as the server tells. */
export function standingOf({ status, cache, jobs }: ISnapshot): Standing {
  if (jobs.length > 0 || (cache !== null && (cache.incoming > 0 || cache.models.some(isHere)))) {
    return 'begun';
  }
  return status === null || cache === null ? 'unknown' : 'new';
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
