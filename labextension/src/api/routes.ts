/** The addresses of the routes, as openapi.yaml writes them, and what stands in their braces. */

import type { paths } from './openapi';

/** The last segments of routes of the cache that are no model's. */
const NO_SLUGS: ReadonlyArray<string> = ['all', 'list', 'move'];

/** The methods that openapi.yaml describes for a path. */
export type MethodOf<Path extends keyof paths> = {
  [M in 'get' | 'post' | 'delete']: paths[Path][M] extends { readonly responses: unknown } ? M : never;
}['get' | 'post' | 'delete'];

/** What stands in the braces of a path. */
export type Names = Readonly<Record<string, string>>;

/**
 * The segments of an address, each to be encoded.
 *
 * @returns Null for a model that is called like a route: a folder copied by hand may have such a name, and *all* would
 * empty the whole cache.
 */
export function segmentsOf(path: keyof paths, names: Names): ReadonlyArray<string> | null {
  if (names.slug !== undefined && NO_SLUGS.includes(names.slug)) {
    return null;
  }
  return path
    .slice(1)
    .split('/')
    .map(segment => names[segment.replace(/^\{(.*)\}$/, '$1')] ?? segment);
}
