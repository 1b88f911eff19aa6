/** Who sees what is known of the server, and so what is asked for, and how often. */

import type { Part } from './stale';
import { ALL_PARTS } from './stale';
import type { JobWatch } from './watch';

/** Between two looks at a job that only moves on: each is a request, and something that the browser draws anew. */
const PROGRESS_MS = 2500;

/** The same while nothing but the status bar tells of it. */
const GLANCE_MS = 5000;

/** What a glance is at. */
const GLANCE: ReadonlyArray<Part> = ['jobs'];

/** Lists and views of single jobs, hidden or not. */
export class Seen {
  /** The views of single jobs. */
  readonly watches = new Set<JobWatch>();

  /** Jobs that are asked for once, whoever sees them. */
  readonly asked = new Set<string>();

  /** All lists are seen while they are not hidden, until what is returned is called. */
  addLists(isHidden: () => boolean): () => void {
    this._lists.set(isHidden, ALL_PARTS);
    return () => this._lists.delete(isHidden);
  }

  /** Somebody may glance at the jobs while they are not hidden, until what is returned is called. */
  addGlance(isHidden: () => boolean): () => void {
    this._lists.set(isHidden, GLANCE);
    return () => this._lists.delete(isHidden);
  }

  /** The parts that somebody sees. */
  get parts(): ReadonlySet<Part> {
    return new Set([...this._lists].flatMap(([isHidden, parts]) => (isHidden() ? [] : parts)));
  }

  /** The jobs that somebody sees by themselves, or asks for. */
  get ids(): ReadonlySet<string> {
    const seen = [...this.watches].filter(watch => !watch.isHidden()).map(watch => watch.id);
    return new Set([...seen, ...this.asked]);
  }

  /** Whether a view of a single job waits for more to come. */
  get isWaiting(): boolean {
    return [...this.watches].some(watch => !watch.isOver);
  }

  /** Milliseconds between two looks at what runs, by how closely somebody follows it. */
  get progressMs(): number {
    const isListed = [...this._lists].some(([isHidden, parts]) => parts !== GLANCE && !isHidden());
    const isWatched = [...this.watches].some(watch => !watch.isOver && !watch.isHidden());
    return isListed || isWatched ? PROGRESS_MS : GLANCE_MS;
  }

  private readonly _lists = new Map<() => boolean, ReadonlyArray<Part>>();
}
