/** Which models are listed: by what is known of them here, by size, by role. Pure. */

import type { IMachine, IModel } from '../api/answers';
import { json } from '../api/read';
import { mayFit } from './fit';
import { isPractice } from './models';

/** What is known of a model on this machine. */
export const KINDS = ['all', 'fits', 'cached'] as const;

/** Sizes up to so many billions of parameters, as models are called, and what is larger. */
export const SIZES = ['all', '1', '4', '14', 'more'] as const;

/** What models are for; a mixture of experts is one of these as well. */
export const ROLES = [
  'all',
  'hybrid',
  'instruct',
  'thinking',
  'base',
  'coder',
  'embedding',
  'reranker',
  'vision',
  'guard',
  'other'
] as const;

export type Kind = (typeof KINDS)[number];
export type Size = (typeof SIZES)[number];
export type Role = (typeof ROLES)[number];

/** What is chosen. */
export interface IFilter {
  readonly kind: Kind;
  readonly size: Size;
  readonly role: Role;
}

/** A way in which the list is cut down. */
export type Part = keyof IFilter;

/** Everything. */
export const NO_FILTER: IFilter = { kind: 'all', size: 'all', role: 'all' };

/** Models are called by less than they have: `4B` has 4.02 billion parameters, `14B` 14.77. */
const CALLED = 1.1;

/** The ends of the sizes, in parameters. */
const ENDS: ReadonlyArray<readonly [Size, number]> = [
  ['1', 1e9 * CALLED],
  ['4', 4e9 * CALLED],
  ['14', 14e9 * CALLED]
];

/** What the names of models say they are for; the first that fits. */
const NAMED: ReadonlyArray<readonly [Role, RegExp]> = [
  ['embedding', /embedding/i],
  ['reranker', /rerank/i],
  ['guard', /guard/i],
  ['vision', /(^|[-_/])(vl|omni)([-_]|$)|qwen\d*-?vl/i],
  ['coder', /coder/i],
  ['base', /[-_]base([-_]|$)/i],
  ['thinking', /thinking/i],
  ['instruct', /instruct/i],
  ['hybrid', /qwen3-\d/i]
];

/** Read what was kept; what is of another version is everything. */
export function parseFilter(value: unknown): IFilter {
  const kept = json(value);
  return {
    kind: KINDS.find(each => each === kept.kind) ?? 'all',
    size: SIZES.find(each => each === kept.size) ?? 'all',
    role: ROLES.find(each => each === kept.role) ?? 'all'
  };
}

/** What a model is for: as the catalogue has it, else as its name says. */
export function roleOf(entry: IModel): Role {
  const told = ROLES.find(each => each === (isPractice(entry) ? 'hybrid' : entry.kind));
  return told ?? NAMED.find(([, pattern]) => pattern.test(entry.model_name))?.[0] ?? 'other';
}

/**
 * How many parameters a model has: all that have to be in memory, also of a mixture of experts, which computes with few
 * of them. Where the catalogue does not know, by its name; null where that says nothing either.
 */
export function parametersOf(entry: IModel): number | null {
  const named = /(?:^|[-_/])(\d+(?:\.\d+)?)B(?:[-_]|$)/i.exec(entry.model_name)?.[1];
  return entry.parameters ?? (isPractice(entry) ? 0 : named === undefined ? null : Number(named) * 1e9);
}

/** Whether a model is among those that one part lets through. */
export function passes(entry: IModel, part: Part, filter: IFilter, machine: IMachine | null): boolean {
  switch (part) {
    case 'kind':
      return filter.kind === 'cached' ? entry.cached : filter.kind === 'all' || mayFit(entry, machine);
    case 'size':
      return filter.size === 'all' || isOfSize(parametersOf(entry), filter.size);
    case 'role':
      return filter.role === 'all' || roleOf(entry) === filter.role;
  }
}

/** The parts in which something is chosen. */
export function activeParts(filter: IFilter): ReadonlyArray<Part> {
  return PARTS.filter(part => filter[part] !== 'all');
}

/** The models that all parts let through. */
export function filtered(
  models: ReadonlyArray<IModel>,
  filter: IFilter,
  machine: IMachine | null
): ReadonlyArray<IModel> {
  return models.filter(entry => PARTS.every(part => passes(entry, part, filter, machine)));
}

/** How many of these models each part hides, whatever the others do. */
export function hidden(
  models: ReadonlyArray<IModel>,
  filter: IFilter,
  machine: IMachine | null
): ReadonlyArray<{ readonly part: Part; readonly count: number }> {
  return activeParts(filter).map(part => ({
    part,
    count: models.filter(entry => !passes(entry, part, filter, machine)).length
  }));
}

/** The roles that these models have, and the chosen one, which may have none left. */
export function rolesOf(models: ReadonlyArray<IModel>, chosen: Role): ReadonlyArray<Role> {
  const found = new Set(models.map(roleOf));
  return ROLES.filter(each => each === 'all' || each === chosen || found.has(each));
}

const PARTS: ReadonlyArray<Part> = ['kind', 'size', 'role'];

/** Of what has no known size nobody can say that it is small, or large. */
function isOfSize(parameters: number | null, size: Size): boolean {
  if (parameters === null) {
    return false;
  }
  const end = ENDS.find(([name]) => name === size)?.[1];
  return end === undefined ? parameters > ENDS[ENDS.length - 1][1] : parameters <= end;
}
