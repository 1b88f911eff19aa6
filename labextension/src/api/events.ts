/** What the server tells by itself: that a job or the cache changed. */

import type { Event } from '@jupyterlab/services';

import { text } from './read';

/** The Jupyter Event by which it tells. */
export const CHANGE_SCHEMA_ID = 'https://schema.jupyter.org/qwen3ft_jupyter/change/v1';

/** What changed; change.yaml describes it. */
export interface IChange {
  /** `job` or `cache`. */
  readonly subject: string;
  /** The job's id, or the name of the model's folder. */
  readonly id: string;
  /** A job's state, `forgotten`, or what became of the folder. */
  readonly state: string;
}

/** Read an event, null where it is somebody else's. */
export function parseChange(event: Event.Emission): IChange | null {
  return event.schema_id === CHANGE_SCHEMA_ID
    ? { subject: text(event.subject), id: text(event.id), state: text(event.state) }
    : null;
}
