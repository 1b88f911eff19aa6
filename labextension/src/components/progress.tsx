import * as React from 'react';

import type { IJob, IProgress } from '../api/answers';
import { formatDuration, formatPercent, formatRate } from '../domain/format';
import { controlsOf, isPaused } from '../domain/jobs';
import type { ILanguage } from '../domain/language';
import { amountWords } from '../domain/words';
import { PauseButton, StopButton } from './buttons';
import { useApp } from './context';

interface IProgressProps {
  readonly job: IJob;
  /** Small buttons at the end of the bar. */
  readonly children?: React.ReactNode;
}

/** A job under way, beside what it is about: how far it is, and how to let it wait or stop it. */
export function RunningJob({ job }: { readonly job: IJob }): JSX.Element {
  return (
    <JobProgress job={job}>
      {controlsOf(job) && <PauseButton job={job} isIconOnly />}
      <StopButton job={job} isIconOnly />
    </JobProgress>
  );
}

/** How far a job is: a bar, and beneath it the numbers it comes from. */
export function JobProgress({ job, children }: IProgressProps): JSX.Element {
  const app = useApp();
  const { locale } = app;
  const progress = job.progress;
  const fraction = fractionOf(progress);
  const phase =
    progress && job.state === 'running' && !isPaused(job) ? progress.phase_words : job.state_words;
  return (
    <div className="jp-Qwen3ft-progress">
      <div className="jp-Qwen3ft-progressHead">
        <span>{phase}</span>
        {fraction !== null && <span>{formatPercent(fraction, locale)}</span>}
      </div>
      <div className="jp-Qwen3ft-progressBar">
        <progress
          aria-label={job.title}
          aria-valuetext={fraction === null ? phase : undefined}
          value={fraction ?? undefined}
          max={1}
        />
        {children}
      </div>
      {progress && <div className="jp-Qwen3ft-meta">{numbers(progress, isPaused(job), app).join(' · ')}</div>}
      {progress?.detail && !isPaused(job) && <div className="jp-Qwen3ft-meta">{progress.detail}</div>}
    </div>
  );
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
