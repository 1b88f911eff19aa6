/** What a download would do, as the server answers a dry run. */

import { isRecord, list, number, record, text } from './types';

/** What becomes of a file: it stays, is cloned from this disk, goes on where it broke off, travels, or goes. */
export type FileAction = 'kept' | 'adopted' | 'resumed' | 'fetched' | 'removed' | 'unknown';

const ACTIONS: ReadonlyArray<FileAction> = ['kept', 'adopted', 'resumed', 'fetched', 'removed'];

/** A file of the model, and what a download would do with it. */
export interface IPlannedFile {
  readonly path: string;
  readonly size: number;
  readonly action: FileAction;
  /** Where its bytes come from. */
  readonly source: string;
  readonly bytes_to_fetch: number;
}

/** A model that could make room. */
export interface IEvictable {
  readonly name: string;
  readonly size: number;
}

/** A whole download, before its first byte. */
export interface IDownloadPlan {
  readonly hub: string;
  readonly revision: string;
  readonly commit: string;
  readonly files: ReadonlyArray<IPlannedFile>;
  readonly bytes_to_fetch: number;
  /** Bytes that are on this disk already. */
  readonly bytes_reused: number;
  /** Bytes that it takes on the cache's volume. */
  readonly room_bytes: number;
  readonly free_bytes: number | null;
  /** Bytes by which it does not fit, 0 where it does. */
  readonly missing_bytes: number;
  /** Bytes by which the cache would exceed its quota whatever was deleted, 0 where it would not. */
  readonly over_quota_bytes: number;
  /** The models that would be deleted to stay within the quota. */
  readonly to_evict: ReadonlyArray<string>;
  /** The models that one could delete. */
  readonly evictable: ReadonlyArray<IEvictable>;
  /** Bytes a second, null where it was not measured. */
  readonly rate: number | null;
  readonly seconds: number | null;
  readonly sources: ReadonlyArray<string>;
}

/** Read the answer of `POST /models/download` to a dry run. */
export function parseDownloadPlan(value: unknown): IDownloadPlan {
  const json = record(value, 'plan');
  return {
    hub: text(json.hub),
    revision: text(json.revision),
    commit: text(json.commit),
    files: list(json.files).map(parseFile),
    bytes_to_fetch: number(json.bytes_to_fetch) ?? 0,
    bytes_reused: number(json.bytes_reused) ?? 0,
    room_bytes: number(json.room_bytes) ?? 0,
    free_bytes: number(json.free_bytes),
    missing_bytes: number(json.missing_bytes) ?? 0,
    over_quota_bytes: number(json.over_quota_bytes) ?? 0,
    to_evict: list(json.to_evict).map(text),
    evictable: list(json.evictable).map(parseEvictable),
    rate: number(json.rate),
    seconds: number(json.seconds),
    sources: list(json.sources).map(text)
  };
}

function parseFile(value: unknown): IPlannedFile {
  const json = record(value, 'file of the plan');
  return {
    path: text(json.path),
    size: number(json.size) ?? 0,
    action: ACTIONS.find(action => action === json.action) ?? 'unknown',
    source: text(json.source),
    bytes_to_fetch: number(json.bytes_to_fetch) ?? 0
  };
}

/** An object, or a pair of name and bytes. */
function parseEvictable(value: unknown): IEvictable {
  const [name, bytes] = isRecord(value) ? [value.name, value.bytes] : list(value);
  return { name: text(name), size: number(bytes) ?? 0 };
}
