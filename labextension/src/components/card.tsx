import * as React from 'react';

import type { IJob, JobState } from '../api/answers';
import { CommandIDs } from '../domain/commands';
import { formatAgo, formatDuration } from '../domain/format';
import { controlsOf, damageFound, isActive, isPaused } from '../domain/jobs';
import type { ILanguage } from '../domain/language';
import { resultWords } from '../domain/result';
import { amountWords } from '../domain/words';
import { Alert, ProblemAlert } from './alert';
import { Badge } from './badge';
import { ActionButton } from './button';
import { ForgetButton, NotebookButton, PauseButton, ResumeButton, StopButton } from './buttons';
import { useApp } from './context';
import { JobLog } from './log';
import { Pairs } from './pairs';
import { JobProgress } from './progress';
import { Sources } from './sources';
import { SpeedLimit } from './speed';

interface ICardProps {
  readonly job: IJob;
  /** Whether it stands in the list from which ended jobs are removed. */
  readonly isListed?: boolean;
  /** What stands between progress and outcome. */
  readonly children?: React.ReactNode;
  /** What stands below an error, or the damage found: a way out of it. */
  readonly remedy?: React.ReactNode;
}

/** A job: state, progress, outcome, and what can be done about it. The same in the panel and in a cell's output. */
export function JobCard({ job, isListed, children, remedy }: ICardProps): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const [isLogOpen, setLogOpen] = React.useState(false);
  const result = resultWords(job, app);
  const damage = damageFound(job);
  const { notices } = job;
  const controls = controlsOf(job);
  const canResume = job.state === 'stopped' || job.state === 'failed' || job.state === 'interrupted';
  return (
    <div className="jp-Qwen3ft-job">
      <div className="jp-Qwen3ft-rowHead">
        <JobTitle job={job} isListed={isListed} />
        <StateBadge job={job} />
      </div>
      <div className="jp-Qwen3ft-meta">{times(job, app).join(' · ')}</div>
      {isActive(job) && <JobProgress job={job} />}
      {canResume && job.progress !== null && job.progress.done > 0 && (
        <div className="jp-Qwen3ft-meta">{trans.__('Reached: %1', amountWords(job.progress, app))}</div>
      )}
      {children}
      {notices.length > 0 && (
        <ul className="jp-Qwen3ft-notices" aria-label={trans.__('Notices')}>
          {notices.map((notice, index) => (
            <li key={index}>{notice}</li>
          ))}
        </ul>
      )}
      {job.error && <ProblemAlert problem={job.error}>{remedy}</ProblemAlert>}
      {damage.length > 0 && (
        <Alert title={trans.__('Damaged files')}>
          <p>{damage.join(', ')}</p>
          {remedy}
        </Alert>
      )}
      {result.length > 0 && <Pairs className="jp-Qwen3ft-result" pairs={result} />}
      <Sources job={job} />
      <div className="jp-Qwen3ft-actions">
        {controls && <PauseButton job={job} />}
        {isActive(job) && <StopButton job={job} />}
        {canResume && <ResumeButton job={job} />}
        {controls && <SpeedLimit job={job} controls={controls} />}
        {isListed && job.kind === 'finetune' && <NotebookButton job={job} />}
        <ActionButton
          label={trans.__('Log')}
          description={trans.__('Log: %1', job.title)}
          isExpanded={isLogOpen}
          onClick={() => setLogOpen(!isLogOpen)}
        />
        {isListed && !isActive(job) && <ForgetButton job={job} />}
      </div>
      {isLogOpen && <JobLog job={job} />}
    </div>
  );
}

/** What a job is called; in a list a fine-tune's title opens its run, if there is a view of it. */
function JobTitle({ job, isListed }: ICardProps): JSX.Element {
  const { commands, trans } = useApp();
  if (!isListed || job.kind !== 'finetune' || !commands.hasCommand(CommandIDs.openRun)) {
    return <span className="jp-Qwen3ft-jobTitle">{job.title}</span>;
  }
  return (
    <button
      type="button"
      className="jp-Qwen3ft-jobTitle jp-mod-link"
      title={trans.__('Open the run: curves, report, config and log')}
      onClick={() => void commands.execute(CommandIDs.openRun, { job_id: job.id })}
    >
      {job.title}
    </button>
  );
}

/** How a job stands; one that went well and found damage did not find what one hopes for. */
export function StateBadge({ job }: { readonly job: IJob }): JSX.Element {
  const { trans } = useApp();
  if (damageFound(job).length > 0) {
    return <Badge look="error">{trans.__('Damaged')}</Badge>;
  }
  return <Badge look={isPaused(job) ? 'plain' : stateLook(job.state)}>{job.state_words}</Badge>;
}

/** When a job ran, for how long, which attempt it is, and its id. */
export function times(job: IJob, { trans, locale }: ILanguage): ReadonlyArray<string> {
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
  // By which the magics and the command line call it.
  words.push(job.id);
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
