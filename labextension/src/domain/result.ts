/** What came of a job, in words and numbers. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IJob } from '../api/answers';
import { isRecord, list, number, text } from '../api/read';
import { formatBytes, formatCount, formatMetric } from './format';
import type { ILanguage, Pair } from './language';
import { hubName } from './names';

/** What came of a job: pairs of a label and a value, empty while there is nothing to tell. */
export function resultWords(job: IJob, language: ILanguage): ReadonlyArray<Pair> {
  const result = job.result ?? {};
  const { trans, locale } = language;
  const firstLoss = number(result.first_loss);
  const lastLoss = number(result.last_loss);
  const steps = number(result.steps);
  const rows: ReadonlyArray<Pair> = [
    ...bytesWords(job, language),
    [trans.__('Hub'), hubName(text(result.hub))],
    [trans.__('Deleted to make room'), list(result.evicted).map(text).join(', ')],
    [trans.__('Steps'), steps === null ? '' : formatCount(steps, locale)],
    [
      trans.__('Loss'),
      firstLoss === null || lastLoss === null
        ? ''
        : trans.__('%1 → %2', formatMetric(firstLoss, locale), formatMetric(lastLoss, locale))
    ],
    [trans.__('Folder'), text(result.output_dir) || text(result.folder)]
  ];
  return rows.filter(([, value]) => value !== '');
}

/** The bytes that a job received or read. */
function bytesWords(job: IJob, { trans, locale }: ILanguage): ReadonlyArray<Pair> {
  const result = job.result ?? {};
  if (result.was_cached === true) {
    return [[trans.__('Model'), trans.__('Already in the cache, verified')]];
  }
  if (job.params.in_place === true && result.verified === true && number(result.bytes) === 0) {
    return [[trans.__('Model'), trans.__('Used where it is, verified')]];
  }
  const received = number(result.bytes) ?? number(result.bytes_fetched);
  const read = number(result.checked_bytes);
  return [
    [trans.__('Received'), received === null ? '' : formatBytes(received, locale)],
    [trans.__('Read'), read === null ? '' : formatBytes(read, locale)],
    [trans.__('Repaired'), list(result.repaired).map(text).join(', ')],
    [
      trans.__('Result'),
      result.ok === true && list(result.repaired).length === 0 ? trans.__('Every file is right') : ''
    ]
  ];
}

/** Bytes that came from one place. */
export interface IShare {
  readonly name: string;
  readonly bytes: number;
}

/** Where the bytes of a download came from, the largest share first; this disk counts as one place. */
export function shares(job: IJob, trans: TranslationBundle): ReadonlyArray<IShare> {
  const result = job.result ?? {};
  const sources = list(result.sources)
    .filter(isRecord)
    .map(each => ({ name: text(each.name), bytes: number(each.bytes) ?? 0 }));
  const adopted = { name: trans.__('This disk'), bytes: number(result.adopted) ?? 0 };
  return [...sources, adopted].filter(each => each.bytes > 0).sort((a, b) => b.bytes - a.bytes);
}
