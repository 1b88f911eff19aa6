/** Models that a person names by a text. Pure; what a text means only the server says. */

import type { IDownloadOptions } from '../api/client';
import type { INamed } from '../api/details';

/** Whether a text may be the name of a model or an address, and not words to filter by. */
export function isAddress(text: string): boolean {
  return /\S[/／\\]\S|^\s*\w+::?\S/.test(text);
}

/** Whether a text says more than which model: then the row of the model alone is not what is meant. */
export function isParticular({ revision }: INamed): boolean {
  return revision !== '';
}

/** How the download of a named model differs from that of the hub's default branch. */
export function optionsOf({ revision }: INamed): IDownloadOptions {
  return revision === '' ? {} : { revision };
}
