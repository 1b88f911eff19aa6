/** Whether the page and the server belong together. */

import { version } from '../../../package.json';

/** The version of this page. */
export const PACKAGE_VERSION = version;

/**
 * Compare with a version as Python writes it: `1.0.0-alpha.1` is `1.0.0a1` there.
 *
 * @param serverVersion - What the server part says of itself.
 */
export function isSameVersion(serverVersion: string, own: string = PACKAGE_VERSION): boolean {
  return toPython(serverVersion) === toPython(own);
}

function toPython(text: string): string {
  return text
    .replace(/-alpha\.?/, 'a')
    .replace(/-beta\.?/, 'b')
    .replace(/-rc\.?/, 'rc');
}
