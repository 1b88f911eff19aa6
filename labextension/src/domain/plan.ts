/** A download's plan in words. */

import type { IDownloadPlan, IPlannedFile } from '../api/answers';
import { formatBytes, formatDuration, formatRate } from './format';
import type { ILanguage, Pair } from './language';
import { originName, revisionWords } from './names';

/** Whether a download would change nothing. */
export function isUpToDate(plan: IDownloadPlan): boolean {
  return plan.files.every(file => file.action === 'kept');
}

/** Whether the volume and the quota have room for it. */
export function hasRoom(plan: IDownloadPlan): boolean {
  return plan.missing_bytes === 0 && plan.over_quota_bytes === 0;
}

/** The whole of a plan: pairs of a label and a value. */
export function planWords(plan: IDownloadPlan, language: ILanguage): ReadonlyArray<Pair> {
  const { trans, locale } = language;
  const bytes = (value: number) => formatBytes(value, locale);
  const free = plan.free_bytes;
  const rows: ReadonlyArray<Pair> = [
    [trans.__('To download'), bytes(plan.bytes_to_fetch)],
    [trans.__('On this disk already'), plan.bytes_reused > 0 ? bytes(plan.bytes_reused) : ''],
    [trans.__('From'), plan.sources.map(each => originName(plan.model_name, each, trans)).join(', ')],
    [trans.__('Time'), timeWords(plan, language)],
    [
      trans.__('Room'),
      free === null
        ? bytes(plan.room_bytes)
        : trans.__('%1 needed, %2 free', bytes(plan.room_bytes), bytes(free))
    ],
    [trans.__('Hub'), originName(plan.model_name, plan.hub, trans)],
    [trans.__('Revision'), revisionWords(plan.revision, plan.commit)]
  ];
  return rows.filter(([, value]) => value !== '');
}

/** What becomes of a file. */
export function actionWords(file: IPlannedFile, { trans, locale }: ILanguage): string {
  switch (file.action) {
    case 'kept':
      return trans.__('Stays');
    case 'adopted':
      return file.source === '' ? trans.__('On this disk') : trans.__('On this disk: %1', file.source);
    case 'resumed':
      return trans.__('%1 left', formatBytes(file.bytes_to_fetch, locale));
    case 'fetched':
      return trans.__('Download');
    case 'removed':
      return trans.__('Removed');
    case 'unknown':
      return '';
  }
}

function timeWords(plan: IDownloadPlan, { trans, locale }: ILanguage): string {
  if (plan.seconds === null || plan.bytes_to_fetch === 0) {
    return '';
  }
  // Nothing takes no time.
  const duration = formatDuration(Math.max(1, plan.seconds), locale);
  return plan.rate === null
    ? trans.__('about %1', duration)
    : trans.__('about %1 at %2', duration, formatRate(plan.rate, locale));
}
