import * as React from 'react';

import { formatDuration, formatPercent, formatRate } from '../domain/format';
import { isPaused } from '../domain/jobs';
import type { IJob, IProgress } from '../api/types';
import type { ILanguage } from '../domain/words';
import { amountWords, detailWords, jobTitle, phaseWord, standingWord } from '../domain/words';

/** How far a job is: a bar, and beneath it the numbers it comes from. */
export function JobProgress({ job, language, children }: JobProgress.IProps): JSX.Element {
  const { trans, locale } = language;
  const progress = job.progress;
  const fraction = fractionOf(progress);
  const phase =
    progress && job.state === 'running' && !isPaused(job)
      ? phaseWord(progress.phase, trans)
      : standingWord(job, trans);
  return (
    <div className="jp-Qwen3ft-progress">
      <div className="jp-Qwen3ft-progressHead">
        <span>{phase}</span>
        {fraction !== null && <span>{formatPercent(fraction, locale)}</span>}
      </div>
      <div className="jp-Qwen3ft-progressBar">
        <progress
          aria-label={jobTitle(job, trans)}
          aria-valuetext={fraction === null ? phase : undefined}
          value={fraction ?? undefined}
          max={1}
        />
        {children}
      </div>
      {progress && (
        <div className="jp-Qwen3ft-meta">{numbers(progress, isPaused(job), language).join(' · ')}</div>
      )}
      {progress?.detail && !isPaused(job) && (
        <div className="jp-Qwen3ft-meta">{detailWords(progress.detail, trans)}</div>
      )}
    </div>
  );
}

/** A namespace for `JobProgress` statics. */
export namespace JobProgress {
  /** The properties of a job's progress. */
  export interface IProps {
    readonly job: IJob;
    readonly language: ILanguage;
    /** Small buttons at the end of the bar. */
    readonly children?: React.ReactNode;
  }
}

function fractionOf(progress: IProgress | null): number | null {
  if (progress === null || progress.total === null || progress.total <= 0) {
    return null;
  }
  return Math.min(1, progress.done / progress.total);
}

function numbers(progress: IProgress, isWaiting: boolean, language: ILanguage): ReadonlyArray<string> {
  const { trans, locale } = language;
  const words = [amountWords(progress, language)];
  if (isWaiting) {
    return words;
  }
  if (progress.rate !== null && progress.rate > 0 && progress.unit === 'bytes') {
    words.push(formatRate(progress.rate, locale));
  }
  if (progress.eta_s !== null) {
    words.push(trans.__('%1 left', formatDuration(progress.eta_s, locale)));
  }
  return words.filter(word => word !== '');
}
