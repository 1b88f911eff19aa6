import { closeIcon, refreshIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Client } from '../client';
import { formatAgo, formatDuration } from '../format';
import { isActive } from '../model';
import { ProblemAlert } from '../parts/alert';
import { Badge } from '../parts/badge';
import { ActionButton } from '../parts/button';
import { JobProgress } from '../parts/progress';
import type { IJob, JobState } from '../types';
import { serverWords } from '../sentences';
import type { ILanguage } from '../words';
import { jobTitle, resultWords, resumeWord, stateWord } from '../words';
import { JobLog } from './log';

/** A job: state, progress, outcome, and what can be done about it. The same in the panel and in a cell's output. */
export function JobCard(props: JobCard.IProps): JSX.Element {
  const { job, language, children } = props;
  const { trans } = language;
  const [isLogOpen, setLogOpen] = React.useState(false);
  const result = resultWords(job, language);
  return (
    <div className="jp-Qwen3ft-job">
      <div className="jp-Qwen3ft-rowHead">
        <span className="jp-Qwen3ft-jobTitle">{jobTitle(job, trans)}</span>
        <Badge look={stateLook(job.state)}>{stateWord(job.state, trans)}</Badge>
      </div>
      <div className="jp-Qwen3ft-meta">{times(job, language).join(' · ')}</div>
      {isActive(job) && <JobProgress job={job} language={language} />}
      {children}
      {job.notices.length > 0 && (
        <ul className="jp-Qwen3ft-notices" aria-label={trans.__('Notices')}>
          {job.notices.map((notice, index) => (
            <li key={index}>{serverWords(notice, trans)}</li>
          ))}
        </ul>
      )}
      {job.error && (
        <ProblemAlert problem={job.error} language={language}>
          {props.remedy}
        </ProblemAlert>
      )}
      {result.length > 0 && (
        <dl className="jp-Qwen3ft-result">
          {result.map(([label, value]) => (
            <React.Fragment key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </React.Fragment>
          ))}
        </dl>
      )}
      <Actions {...props} isLogOpen={isLogOpen} onLog={() => setLogOpen(!isLogOpen)} />
      {isLogOpen && <JobLog job={job} client={props.client} language={language} />}
    </div>
  );
}

/** A namespace for `JobCard` statics. */
export namespace JobCard {
  /** The properties of a job's card. */
  export interface IProps {
    readonly job: IJob;
    readonly client: Client;
    readonly language: ILanguage;
    readonly isPending: boolean;
    readonly onStop: () => void;
    readonly onResume: () => void;
    readonly onForget?: () => void;
    /** What stands between progress and outcome. */
    readonly children?: React.ReactNode;
    /** What stands below an error: a way out of it. */
    readonly remedy?: React.ReactNode;
  }
}

type ActionsProps = JobCard.IProps & { readonly isLogOpen: boolean; readonly onLog: () => void };

function Actions(props: ActionsProps): JSX.Element {
  const { job, language, isPending, onStop, onResume, onForget } = props;
  const { trans } = language;
  const title = jobTitle(job, trans);
  const canResume = job.state === 'stopped' || job.state === 'failed' || job.state === 'interrupted';
  return (
    <div className="jp-Qwen3ft-actions">
      {isActive(job) && (
        <ActionButton
          icon={stopIcon}
          label={trans.__('Stop')}
          description={trans.__('Stop: %1', title)}
          isBusy={isPending || job.state === 'stopping'}
          onClick={onStop}
        />
      )}
      {canResume && (
        <ActionButton
          icon={refreshIcon}
          label={resumeWord(job, trans)}
          description={trans.__('%1: %2', resumeWord(job, trans), title)}
          isBusy={isPending}
          onClick={onResume}
        />
      )}
      <ActionButton
        label={trans.__('Log')}
        description={trans.__('Log: %1', title)}
        isExpanded={props.isLogOpen}
        onClick={props.onLog}
      />
      {!isActive(job) && onForget && (
        <ActionButton
          icon={closeIcon}
          label={trans.__('Forget')}
          description={trans.__('Forget this entry; files are kept: %1', title)}
          isBusy={isPending}
          onClick={onForget}
        />
      )}
    </div>
  );
}

function times(job: IJob, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const now = Date.now() / 1000;
  const began = job.started ?? job.created;
  const words: string[] = [];
  if (isActive(job)) {
    if (began !== null) {
      words.push(trans.__('for %1', formatDuration(now - began, locale)));
    }
  } else if (job.ended !== null) {
    words.push(formatAgo(job.ended, now, locale));
    if (job.started !== null) {
      words.push(trans.__('took %1', formatDuration(job.ended - job.started, locale)));
    }
  }
  if (job.attempt > 1) {
    words.push(trans.__('attempt %1', job.attempt));
  }
  return words;
}

function stateLook(state: JobState): 'plain' | 'success' | 'warning' | 'error' | 'active' {
  switch (state) {
    case 'queued':
    case 'running':
    case 'stopping':
      return 'active';
    case 'succeeded':
      return 'success';
    case 'failed':
      return 'error';
    case 'interrupted':
      return 'warning';
    default:
      return 'plain';
  }
}
