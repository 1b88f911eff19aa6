import { Clipboard } from '@jupyterlab/apputils';
import { copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IJob } from '../api/answers';
import { isRecord, list, text } from '../api/read';
import { parseReport } from '../api/runs';
import { ActionButton } from '../components/button';
import { JobCard } from '../components/card';
import { useApp, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { followersOf } from '../domain/followers';
import { usePicture, useRun } from './context';
import { Report } from './report';

/** The merges, exports, evaluations and uploads of the run's result: how they go, and what they came to. */
export function Following(): JSX.Element | null {
  const { trans } = useApp();
  const { jobId } = useRun();
  const folder = usePicture(({ run }) => run?.folder ?? '');
  const jobs = useStore(({ snapshot }) => snapshot.jobs);
  const followers = React.useMemo(() => followersOf(jobs, jobId, folder), [jobs, jobId, folder]);
  if (followers.length === 0) {
    return null;
  }
  return (
    <section className="jp-Qwen3ft-block">
      <h3>{trans.__('After the run')}</h3>
      <FocusKeeper>
        <ul className="jp-Qwen3ft-list" aria-label={trans.__('After the run')}>
          {followers.map(job => (
            <li key={job.id} className="jp-Qwen3ft-row">
              <JobCard job={job} isListed>
                <Result job={job} />
              </JobCard>
            </li>
          ))}
        </ul>
      </FocusKeeper>
    </section>
  );
}

/** What came of it: the lines that serve an export, the page of an upload, the report of an evaluation. */
function Result({ job }: { readonly job: IJob }): JSX.Element | null {
  const { trans } = useApp();
  const result = job.result ?? {};
  const [isOpen, setOpen] = React.useState(false);
  const commands = list(result.commands).map(text);
  const page = text(result.page);
  const report = isRecord(result.report) ? parseReport(result.report) : null;
  if (job.state !== 'succeeded') {
    return null;
  }
  return (
    <>
      {commands.length > 0 && <Commands lines={commands} />}
      {/^https?:\/\//.test(page) && (
        <a className="jp-Qwen3ft-link" href={page} target="_blank" rel="noopener noreferrer">
          {page}
        </a>
      )}
      {report && (
        <>
          <div className="jp-Qwen3ft-actions">
            <ActionButton
              label={trans.__('Report')}
              description={trans.__('Report: %1', job.title)}
              isExpanded={isOpen}
              onClick={() => setOpen(!isOpen)}
            />
          </div>
          {isOpen && <Report report={report} />}
        </>
      )}
    </>
  );
}

function Commands({ lines }: { readonly lines: ReadonlyArray<string> }): JSX.Element {
  const { trans } = useApp();
  const [isCopied, setCopied] = React.useState(false);
  const label = trans._n('Copy the line that serves it', 'Copy the lines that serve it', lines.length);
  return (
    <div className="jp-Qwen3ft-commands">
      <pre className="jp-Qwen3ft-command" tabIndex={0} aria-label={trans.__('Lines to type')}>
        {lines.join('\n')}
      </pre>
      <ActionButton
        icon={copyIcon}
        label={label}
        onClick={() => {
          Clipboard.copyToSystem(lines.join('\n'));
          setCopied(true);
        }}
      />
      <span className="jp-Qwen3ft-meta" role="status">
        {isCopied ? trans.__('Copied.') : ''}
      </span>
    </div>
  );
}
