/** What has to be asked of the server again. */

import type { IChange } from '../api/events';

/** What is asked for as a whole. */
export type Part = 'status' | 'models' | 'cache' | 'jobs';

export const ALL_PARTS: ReadonlyArray<Part> = ['status', 'models', 'cache', 'jobs'];

/** Collects what is stale until somebody looks. */
export class Stale {
  /** Parts of the picture. */
  readonly parts = new Set<Part>(ALL_PARTS);

  /** Jobs, by their ids. */
  readonly ids = new Set<string>();

  /** When everything was marked last, in milliseconds since the epoch. */
  markedAt = 0;

  /** Everything may have changed. */
  markAll(): void {
    this.markedAt = Date.now();
    this.mark(...ALL_PARTS);
  }

  /** Some of the parts may have changed. */
  mark(...parts: ReadonlyArray<Part>): void {
    parts.forEach(part => this.parts.add(part));
  }

  /** Mark what an event names: of all jobs, only the one that moved on is asked for. */
  markChange(change: IChange): void {
    if (change.subject === 'cache') {
      this.mark('models', 'cache');
    } else if (change.subject === 'job') {
      this.ids.add(change.id);
    } else {
      this.markAll();
    }
  }

  /**
   * Take what is to be asked for now; it is no longer stale then.
   *
   * @param seen - The parts that somebody sees; the others stay stale.
   * @param watched - The jobs that somebody sees by themselves.
   */
  take(
    seen: ReadonlySet<Part>,
    watched: ReadonlySet<string>
  ): { parts: Set<Part>; ids: ReadonlyArray<string> } {
    const parts = new Set([...this.parts].filter(part => seen.has(part)));
    // The list tells of every job, but not its metrics.
    const ids = [...this.ids].filter(id => watched.has(id) || (seen.has('jobs') && !parts.has('jobs')));
    parts.forEach(part => this.parts.delete(part));
    ids.forEach(id => this.ids.delete(id));
    return { parts, ids };
  }
}
