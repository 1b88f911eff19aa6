import * as React from 'react';

import { formatDuration, formatPercent, formatRate } from '../format';
import type { IJob, IProgress } from '../types';
import type { ILanguage } from '../words';
import { amountWords, jobTitle, phaseWord, stateWord } from '../words';

/** How far a job is: a bar, and beneath it the numbers it comes from. */
export function JobProgress({ job, language }: JobProgress.IProps): JSX.Element {
  const { trans, locale } = language;
  const progress = job.progress;
  const fraction = fractionOf(progress);
  const phase =
    progress && job.state === 'running' ? phaseWord(progress.phase, trans) : stateWord(job.state, trans);
  return (
    <div className="jp-Qwen3ft-progress">
      <div className="jp-Qwen3ft-progressHead">
        <span>{phase}</span>
        {fraction !== null && <span>{formatPercent(fraction, locale)}</span>}
      </div>
      <progress
        aria-label={jobTitle(job, trans)}
        aria-valuetext={fraction === null ? phase : undefined}
        value={fraction ?? undefined}
        max={1}
      />
      {progress && <div className="jp-Qwen3ft-meta">{numbers(progress, language).join(' · ')}</div>}
      {progress?.detail && <div className="jp-Qwen3ft-meta">{progress.detail}</div>}
    </div>
  );
}

/** A namespace for `JobProgress` statics. */
export namespace JobProgress {
  /** The properties of a job's progress. */
  export interface IProps {
    readonly job: IJob;
    readonly language: ILanguage;
  }
}

function fractionOf(progress: IProgress | null): number | null {
  if (progress === null || progress.total === null || progress.total <= 0) {
    return null;
  }
  return Math.min(1, progress.done / progress.total);
}

function numbers(progress: IProgress, language: ILanguage): ReadonlyArray<string> {
  const { trans, locale } = language;
  const words = [amountWords(progress, language)];
  if (progress.rate !== null && progress.rate > 0 && progress.unit === 'bytes') {
    words.push(formatRate(progress.rate, locale));
  }
  if (progress.eta_s !== null) {
    words.push(trans.__('%1 left', formatDuration(progress.eta_s, locale)));
  }
  return words.filter(word => word !== '');
}
