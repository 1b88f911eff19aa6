/** Newer commits of what is cached: hubs are asked when a person wants to know, and at no other time. */

import type { IProblem } from '../api/answers';
import type { Client } from '../api/client';
import type { INews } from '../api/details';
import { toProblem } from '../api/request';

/** What is known of updates, and the way to know more. */
export class Updates {
  constructor(private readonly _options: Updates.IOptions) {}

  /** What hubs said within a day, copy by copy. */
  get news(): ReadonlyArray<INews> {
    return this._news;
  }

  /** Why the latest check failed. */
  get problem(): IProblem | null {
    return this._problem;
  }

  /** Whether hubs are being asked. */
  get isChecking(): boolean {
    return this._checking !== null;
  }

  /** Read once what the server remembers; it asks no hub for that. */
  async load(): Promise<void> {
    if (this._isLoaded) {
      return;
    }
    this._isLoaded = true;
    try {
      this._news = await this._options.client.knownUpdates();
    } catch {
      this._isLoaded = false; // whatever is wrong with the server, its lists say so
    }
    this._options.onChange();
  }

  /** Ask the hubs. */
  async check(): Promise<void> {
    if (this._checking !== null) {
      return;
    }
    const checking = new AbortController();
    this._checking = checking;
    this._problem = null;
    this._options.onChange();
    try {
      this._news = await this._options.client.checkUpdates(checking.signal);
      this._isLoaded = true;
    } catch (error) {
      this._problem = checking.signal.aborted ? null : toProblem(error);
    }
    this._checking = null;
    this._options.onChange();
  }

  /** Ask no more; the server stops as well. */
  stop(): void {
    this._checking?.abort();
  }

  /** Take note that a person has read why the check failed. */
  dismiss(): void {
    this._problem = null;
    this._options.onChange();
  }

  private _checking: AbortController | null = null;
  private _isLoaded = false;
  private _news: ReadonlyArray<INews> = [];
  private _problem: IProblem | null = null;
}

/** A namespace for `Updates` statics. */
export namespace Updates {
  /** Who is asked, and who is told. */
  export interface IOptions {
    readonly client: Client;
    readonly onChange: () => void;
  }
}
