/** The end of a job's log, read on while it grows and somebody sees it. */

import type { IProblem } from '../api/answers';
import type { Client } from '../api/client';
import { toProblem } from '../api/request';

/** The server gives no more of an end. */
export const MOST_BYTES = 1 << 23;

/** While the job writes, its log is asked for this often. */
const INTERVAL_MS = 2000;

/** The end of a log. */
export interface ILog {
  /** Null until it is there. */
  readonly text: string | null;
  /** Whether it is all that there is. */
  readonly isWhole: boolean;
  readonly problem: IProblem | null;
}

/** Before the first answer. */
export const UNREAD: ILog = { text: null, isWhole: false, problem: null };

/** What is read of a log, and when. */
interface IFollowed {
  /** How many bytes of its end. */
  readonly size: number;
  /** Whether it grows. */
  readonly isRunning: boolean;
  readonly isHidden: () => boolean;
  /** How many characters are kept of one that grows. */
  readonly most?: number;
  readonly intervalMs?: number;
}

/**
 * Read the end of a log, and on while it grows and somebody sees it, also after a request that failed; returns what
 * ends the reading.
 */
export function followEnd(
  client: Client,
  id: string,
  { size, isRunning, isHidden, most = MOST_BYTES, intervalMs = INTERVAL_MS }: IFollowed,
  tell: (log: ILog) => void
): () => void {
  let isOver = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let text = '';
  let next: number | null = null;
  let isWhole = false;
  let hasAsked = false;
  const look = async (): Promise<void> => {
    const chunk = next === null ? await client.logEnd(id, size) : await client.log(id, next);
    if (isOver) {
      return;
    }
    if (next === null) {
      const length = new TextEncoder().encode(chunk.text).length;
      isWhole = length >= chunk.next_offset;
      // The first line of a part may have lost its beginning.
      text = isWhole ? chunk.text : chunk.text.slice(chunk.text.indexOf('\n') + 1);
    } else {
      text = (text + chunk.text).slice(-most);
    }
    const isNews = next === null || chunk.text !== '';
    next = chunk.next_offset;
    if (isNews) {
      tell({ text, isWhole, problem: null });
    }
  };
  const run = async (): Promise<void> => {
    try {
      if (!hasAsked || (!document.hidden && !isHidden())) {
        hasAsked = true;
        await look();
      }
    } catch (error) {
      if (!isOver) {
        tell({ text: null, isWhole: true, problem: toProblem(error) });
      }
      next = null; // all of it is there again once the server answers
    }
    if (!isOver && isRunning) {
      timer = setTimeout(() => void run(), intervalMs);
    }
  };
  void run();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
