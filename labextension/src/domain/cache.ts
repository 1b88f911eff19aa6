/** The order in which copies of models are shown, and how full the cache is. Pure. */

import type { ICache, ICached } from '../api/answers';
import { isBeside } from './jobs';

/** The copies of one model: its revisions, or what several tools keep of it. */
export interface IGroup {
  readonly modelName: string;
  readonly copies: ReadonlyArray<ICached>;
}

/** Whether a copy is in our cache or in a shared one that it reads; else another tool keeps it. */
export function isHere(entry: ICached): boolean {
  return entry.owner === 'qwen3ft' || entry.owner === 'shared';
}

/** Put the copies of one model together, where its first one stands; the main revision comes first. */
export function grouped(entries: ReadonlyArray<ICached>): ReadonlyArray<IGroup> {
  const groups = new Map<string, ICached[]>();
  for (const entry of entries) {
    const copies = groups.get(entry.model_name) ?? [];
    groups.set(entry.model_name, [...copies, entry]);
  }
  return [...groups].map(([modelName, copies]) => ({
    modelName,
    copies: [...copies].sort((a, b) => Number(isBeside(a)) - Number(isBeside(b)))
  }));
}

/** How the cache may be sorted. */
export const ORDERS = ['used', 'size', 'name'] as const;

export type Order = (typeof ORDERS)[number];

/** Sort models: those used last first, the largest first, or by name. */
export function sorted(groups: ReadonlyArray<IGroup>, order: Order): ReadonlyArray<IGroup> {
  const size = ({ copies }: IGroup) => copies.reduce((sum, each) => sum + each.size, 0);
  const used = ({ copies }: IGroup) => Math.max(...copies.map(each => each.last_used ?? 0));
  const compare: Record<Order, (one: IGroup, other: IGroup) => number> = {
    used: (one, other) => used(other) - used(one),
    size: (one, other) => size(other) - size(one),
    name: (one, other) => one.modelName.localeCompare(other.modelName)
  };
  return [...groups].sort(compare[order]);
}

/** The copies that may be deleted when room is wanted, the one first that was used longest ago. */
export function expendable(cache: ICache): ReadonlyArray<ICached> {
  return cache.models
    .filter(each => each.owner === 'qwen3ft' && !each.pinned)
    .sort((one, other) => (one.last_used ?? 0) - (other.last_used ?? 0));
}

/** How full the cache is, in bytes. */
export interface IFill {
  /** Our own models; what lies in a shared folder takes no room of ours. */
  readonly models: number;
  /** Downloads that have begun. */
  readonly incoming: number;
  /** The quota, or where there is none all that could be used; null where nothing tells. */
  readonly whole: number | null;
}

/** How full the cache is, of its quota or of what the volume has room for. */
export function fillOf(cache: ICache): IFill {
  const { used, incoming, quota, free } = cache;
  const whole = quota ?? (free === null ? null : used + free);
  return { models: Math.max(0, used - incoming), incoming, whole };
}
