import { closeIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Client } from '../api/client';
import { formatAgo, formatDuration } from '../domain/format';
import { Alert, ProblemAlert } from './alert';
import { Badge } from './badge';
import { ActionButton } from './button';
import { Pairs } from './pairs';
import { JobProgress } from './progress';
import type { IJob, JobState } from '../api/types';
import { serverWords } from '../domain/sentences';
import type { ILanguage } from '../domain/words';
import { jobTitle, resumeWord, standingWord } from '../domain/words';
import { PauseButton, StopButton } from './buttons';
import { JobLog } from './log';
import { controlsOf, damageFound, isActive, isPaused } from '../domain/jobs';
import { resultWords } from '../domain/result';
import { Sources } from './sources';
import { SpeedLimit } from './speed';

/** A job: state, progress, outcome, and what can be done about it. The same in the panel and in a cell's output. */
export function JobCard(props: JobCard.IProps): JSX.Element {
  const { job, language, children } = props;
  const { trans } = language;
  const [isLogOpen, setLogOpen] = React.useState(false);
  const result = resultWords(job, language);
  const damage = damageFound(job);
  return (
    <div className="jp-Qwen3ft-job">
      <div className="jp-Qwen3ft-rowHead">
        <span className="jp-Qwen3ft-jobTitle">{jobTitle(job, trans)}</span>
        <StateBadge job={job} language={language} />
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
      {damage.length > 0 && (
        <Alert title={trans.__('Damaged files')}>
          <p>{damage.join(', ')}</p>
          {props.remedy}
        </Alert>
      )}
      {result.length > 0 && <Pairs className="jp-Qwen3ft-result" pairs={result} />}
      <Sources job={job} language={language} />
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
    readonly onPause: () => void;
    readonly onResume: () => void;
    /** Receives bytes a second, null for no limit. */
    readonly onLimit: (maxSpeed: number | null) => void;
    readonly onForget?: () => void;
    /** What stands between progress and outcome. */
    readonly children?: React.ReactNode;
    /** What stands below an error, or the damage found: a way out of it. */
    readonly remedy?: React.ReactNode;
  }
}

/** How a job stands; one that went well and found damage did not find what one hopes for. */
function StateBadge({ job, language }: { job: IJob; language: ILanguage }): JSX.Element {
  const { trans } = language;
  if (damageFound(job).length > 0) {
    return <Badge look="error">{trans.__('Damaged')}</Badge>;
  }
  return <Badge look={isPaused(job) ? 'plain' : stateLook(job.state)}>{standingWord(job, trans)}</Badge>;
}

type ActionsProps = JobCard.IProps & { readonly isLogOpen: boolean; readonly onLog: () => void };

function Actions(props: ActionsProps): JSX.Element {
  const { job, language, isPending, onResume, onForget } = props;
  const { trans } = language;
  const title = jobTitle(job, trans);
  const controls = controlsOf(job);
  const canResume = job.state === 'stopped' || job.state === 'failed' || job.state === 'interrupted';
  return (
    <div className="jp-Qwen3ft-actions">
      {controls && <PauseButton {...props} />}
      {isActive(job) && <StopButton {...props} />}
      {canResume && (
        <ActionButton
          icon={refreshIcon}
          label={resumeWord(job, trans)}
          description={trans.__('%1: %2', resumeWord(job, trans), title)}
          isBusy={isPending}
          onClick={onResume}
        />
      )}
      {controls && (
        <SpeedLimit
          title={title}
          controls={controls}
          language={language}
          isBusy={isPending}
          onLimit={props.onLimit}
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
