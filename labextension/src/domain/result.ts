/** What came of a job, in words and numbers. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IJob } from '../api/answers';
import { isRecord, json, list, number, text } from '../api/read';
import { formatBytes, formatCount, formatMetric } from './format';
import type { ILanguage, Pair } from './language';
import { originName } from './names';

/** What came of a job: pairs of a label and a value, empty while there is nothing to tell. */
export function resultWords(job: IJob, language: ILanguage): ReadonlyArray<Pair> {
  const result = job.result ?? {};
  const config = json(job.params.config);
  // An evaluation has such a config, too, and makes no folder.
  const tuned = job.kind === 'evaluate' ? {} : config;
  const { trans, locale } = language;
  const steps = number(result.steps);
  const evalLoss = number(result.eval_loss);
  const rows: ReadonlyArray<Pair> = [
    ...bytesWords(job, language),
    [trans.__('Hub'), originName(text(job.params.model_name), text(result.hub), trans)],
    [trans.__('Deleted to make room'), list(result.evicted).map(text).join(', ')],
    [trans.__('Data'), dataWords(config.data)],
    [trans.__('Method'), text(tuned.method)],
    [trans.__('Steps'), steps === null ? '' : formatCount(steps, locale)],
    [trans.__('Loss'), lossWords(job, language)],
    [trans.__('Loss on held-out rows'), evalLoss === null ? '' : formatMetric(evalLoss, locale)],
    [
      trans.__('Folder'),
      text(result.output_dir) || text(result.folder) || text(result.target) || text(tuned.output_dir)
    ],
    ...movedWords(job, language)
  ];
  return rows.filter(([, value]) => value !== '');
}

/** What of a cache stayed where it was, and what is left to do once it has moved. */
function movedWords(job: IJob, { trans, locale }: ILanguage): ReadonlyArray<Pair> {
  if (job.kind !== 'move' || job.result === null) {
    return [];
  }
  const copied = number(job.result.bytes_copied) ?? 0;
  return [
    [trans.__('Copied'), copied > 0 ? formatBytes(copied, locale) : ''],
    [trans.__('Next'), trans.__('Set MODEL_CACHE_DIR to this folder, and restart JupyterLab.')]
  ];
}

/** How a loss went: means that say over how much, for single steps jump about; empty where nothing is known. */
export function lossWords(job: IJob, { trans, locale }: ILanguage): string {
  const average = job.averages.loss;
  const first = average?.first ?? number(job.result?.first_loss);
  const last = average?.last ?? number(job.result?.last_loss);
  if (typeof first !== 'number' || typeof last !== 'number') {
    return '';
  }
  const over = average?.over ?? 1;
  const [from, to] = [formatMetric(first, locale), formatMetric(last, locale)];
  return over > 1
    ? trans.__('%1 → %2, means of the first and the last %3 steps', from, to, over)
    : trans.__('%1 → %2, of single steps', from, to);
}

/** The names of the files that a fine-tune learns from. */
function dataWords(data: unknown): string {
  const paths = typeof data === 'string' ? [data] : list(data).map(text);
  return paths
    .map(path => path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1))
    .join(', ');
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
