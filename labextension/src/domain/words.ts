/** What the panel says of a job; the server says what the job does and how it stands. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IJob, IProgress } from '../api/answers';
import { formatBytes } from './format';
import type { ILanguage } from './language';

/** What the button says that lets a job go on: nothing is resumed of a download of which nothing arrived. */
export function resumeWord(job: IJob, trans: TranslationBundle): string {
  return hasArrived(job) ? trans.__('Resume') : trans.__('Try again');
}

/** The same, with the model: it begins with the same words. */
export function resumeWords(job: IJob, modelName: string, trans: TranslationBundle): string {
  return hasArrived(job)
    ? trans.__('Resume the download of %1', modelName)
    : trans.__('Try again to download %1', modelName);
}

function hasArrived(job: IJob): boolean {
  return job.kind !== 'download' || (job.progress !== null && job.progress.done > 0);
}

/** Sentences one after another: a full stop of Chinese has its space within it. */
export function inARow(...sentences: ReadonlyArray<string>): string {
  return sentences
    .filter(each => each !== '')
    .reduce(
      (before, each) =>
        before === '' || /[。！？；：，、]$/.test(before) ? before + each : `${before} ${each}`,
      ''
    );
}

/** How much of a phase is done: `12 MB of 1.5 GB`, `40 of 120 steps`. */
export function amountWords(progress: IProgress, { trans, locale }: ILanguage): string {
  const { done, total, unit, unit_words } = progress;
  const amount = (value: number) =>
    unit === 'bytes' ? formatBytes(value, locale) : `${value} ${unit_words}`.trim();
  if (total === null) {
    return done > 0 ? amount(done) : '';
  }
  return trans.__('%1 of %2', unit === 'bytes' ? amount(done) : done, amount(total));
}
