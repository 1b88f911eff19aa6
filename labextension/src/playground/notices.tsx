import { Clipboard } from '@jupyterlab/apputils';
import * as React from 'react';

import type { IProgress } from '../api/answers';
import { Alert, ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp, usePending, useStore } from '../components/context';
import { RunningJob } from '../components/progress';
import { reviewDownload } from '../components/review';
import { formatPercent } from '../domain/format';
import { isActive } from '../domain/jobs';
import { amountWords } from '../domain/words';
import { usePlayground, useSnapshot } from './context';

const NOT_CACHED = 'not-cached';
const MISSING_PACKAGE = 'missing-package';

/** What stands in the way, and what can be done about it; or how far the loading is. */
export function Notices(): JSX.Element | null {
  const { told, line, model, isEnded } = useSnapshot();
  if (isEnded) {
    return <Ended />;
  }
  if (line === 'refused') {
    return <Refused />;
  }
  if (line !== 'open' && line !== 'none' && line !== 'starting') {
    return <LineNotice />;
  }
  if (line === 'starting' || told.phase === 'loading') {
    return <Loading progress={told.progress} />;
  }
  if (told.error?.code === NOT_CACHED && model !== '') {
    return <NotCached modelName={model} />;
  }
  if (told.error?.code === MISSING_PACKAGE) {
    return (
      <ProblemAlert problem={{ ...told.error, hint: '' }}>
        <Install command={`%${told.error.hint}`} />
      </ProblemAlert>
    );
  }
  return told.error && <ProblemAlert problem={told.error} />;
}

/** The kernel did not heed the stop. */
function Ended(): JSX.Element {
  const { trans } = useApp();
  return (
    <Alert look="warning" title={trans.__('The kernel was ended')}>
      <p>
        {trans.__(
          'It went on with the load that was stopped. Its memory is free again, what was said stays; the next load starts another kernel.'
        )}
      </p>
    </Alert>
  );
}

/** How it stands with the kernel, in a sentence, and a button. */
function LineNotice(): JSX.Element {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const { line } = useSnapshot();
  const load = <ActionButton label={trans.__('Load')} onClick={() => void playground.load()} />;
  const again = <ActionButton label={trans.__('Try again')} onClick={() => playground.reconnect()} />;
  switch (line) {
    case 'restarted':
      return (
        <Alert look="warning" title={trans.__('The kernel was started anew')}>
          <p>
            {trans.__(
              'It died, perhaps for want of memory, or was restarted. The model has to be loaded again.'
            )}
          </p>
          {load}
        </Alert>
      );
    case 'dead':
      return (
        <Alert look="warning" title={trans.__('The kernel is gone')}>
          <p>{trans.__('It was shut down, or the server was restarted. Loading starts a new one.')}</p>
          {load}
        </Alert>
      );
    case 'busy':
      return (
        <Alert look="warning" title={trans.__('The kernel is busy')}>
          <p>{trans.__('It runs something that was not begun here.')}</p>
          <ActionButton label={trans.__('Interrupt it')} onClick={() => void playground.interrupt()} />
        </Alert>
      );
    case 'taken':
      return (
        <Alert look="warning" title={trans.__('Another window uses this conversation')}>
          <p>{trans.__('Only one at a time can.')}</p>
          <ActionButton label={trans.__('Use it here')} onClick={() => playground.reconnect()} />
        </Alert>
      );
    default:
      return (
        <Alert look="warning" title={trans.__('The connection to the kernel is lost')}>
          <p>{trans.__('JupyterLab tries to connect again. What the kernel does goes on.')}</p>
          {again}
        </Alert>
      );
  }
}

/** Our part cannot be started: mostly, it is not installed there. */
function Refused(): JSX.Element {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const { refusal } = useSnapshot();
  const isMissing = refusal?.kind === 'ModuleNotFoundError' || refusal?.kind === 'ImportError';
  const retry = <ActionButton label={trans.__('Try again')} onClick={() => void playground.load()} />;
  return isMissing ? (
    <Alert title={trans.__('This kernel lacks a package')}>
      <p>{refusal?.words}</p>
      <Install command='%pip install --upgrade "qwen3ft-jupyter[train]"' />
      {retry}
    </Alert>
  ) : (
    <Alert title={trans.__('The kernel cannot be used')}>
      <p>{[refusal?.kind, refusal?.words].filter(Boolean).join(': ')}</p>
      {retry}
    </Alert>
  );
}

/** The one line that installs what is missing. */
function Install({ command }: { readonly command: string }): JSX.Element {
  const { trans } = useApp();
  return (
    <>
      <p>{trans.__('Run this in a notebook with that kernel, then load again:')}</p>
      <div className="jp-Qwen3ft-install">
        <pre className="jp-Qwen3ft-command" tabIndex={0} aria-label={trans.__('Commands to run')}>
          {command}
        </pre>
        <ActionButton
          label={trans.__('Copy')}
          description={trans.__('Copy the command')}
          onClick={() => Clipboard.copyToSystem(command)}
        />
      </div>
    </>
  );
}

/** A model that is not on this disk, and its download: what it would be is shown first. */
function NotCached({ modelName }: { readonly modelName: string }): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const { playground } = usePlayground();
  const job = useStore(store => store.downloadOf(modelName));
  const isCached = useStore(store =>
    store.snapshot.models.some(each => each.model_name === modelName && each.cached)
  );
  const isPending = usePending(modelName);
  const problem = useStore(store => store.actions.problemOf(modelName));
  if (job !== null && isActive(job)) {
    return (
      <div className="jp-Qwen3ft-loading">
        <RunningJob job={job} />
      </div>
    );
  }
  return (
    <Alert look="info" title={trans.__('%1 is not on this disk', modelName)}>
      {isCached ? (
        <ActionButton look="primary" label={trans.__('Load')} onClick={() => void playground.load()} />
      ) : (
        <ActionButton
          look="primary"
          label={trans.__('Download…')}
          description={trans.__('Download… shows first what travels, and whether it fits')}
          isBusy={isPending}
          onClick={() => void reviewDownload(app, modelName, {})}
        />
      )}
      {(problem ?? job?.error) && <ProblemAlert problem={(problem ?? job?.error)!} />}
    </Alert>
  );
}

function Loading({ progress }: { readonly progress: IProgress | null }): JSX.Element {
  const app = useApp();
  const { trans, locale } = app;
  const fraction = progress?.total ? Math.min(1, progress.done / progress.total) : null;
  const phase = progress?.phase_words || trans.__('Starting the kernel');
  const amount = progress && progress.unit === 'bytes' ? amountWords(progress, app) : '';
  return (
    <div className="jp-Qwen3ft-loading jp-Qwen3ft-progress">
      <div className="jp-Qwen3ft-progressHead">
        <span>{phase}</span>
        {fraction !== null && <span>{formatPercent(fraction, locale)}</span>}
      </div>
      <progress aria-label={phase} value={fraction ?? undefined} max={1} />
      <div className="jp-Qwen3ft-meta">{[amount, progress?.detail].filter(Boolean).join(' · ')}</div>
    </div>
  );
}
