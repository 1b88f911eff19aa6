/** What only an answer of the server says of a kernel: that it is there, or gone. */

import type { Kernel } from '@jupyterlab/services';

/** Between two questions to a server that did not answer; each time twice as long, up to the second. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;

/** Tells of a kernel by its id: undefined only where the server says that it has none. Raises what else went wrong. */
export type FindKernel = (id: string) => Promise<Kernel.IModel | undefined>;

/**
 * Find a kernel, as soon as the server answers; undefined for one that is gone, null where nobody wants to know any more.
 *
 * @param onSilence - Called each time that the server does not answer.
 * @param isWanted - Whether somebody still wants to know.
 */
export async function findInTime(
  find: FindKernel,
  id: string,
  onSilence: () => void,
  isWanted: () => boolean
): Promise<Kernel.IModel | undefined | null> {
  for (let wait = RETRY_MS; ; wait = Math.min(2 * wait, MAX_RETRY_MS)) {
    const found = await find(id).catch(() => null);
    if (!isWanted()) {
      return null;
    }
    if (found !== null) {
      return found;
    }
    onSilence();
    await new Promise(resolve => setTimeout(resolve, wait));
    if (!isWanted()) {
      return null;
    }
  }
}

/** End a kernel; tell whether it is gone, which one is that was gone before. */
export async function endKernel(
  kernels: Pick<Kernel.IManager, 'shutdown'>,
  find: FindKernel,
  id: string
): Promise<boolean> {
  try {
    await kernels.shutdown(id);
    return true;
  } catch {
    return (await find(id).catch(() => null)) === undefined; // what failed may be the look at the others after it
  }
}
