import * as React from 'react';

import type { IJob, IStatus } from '../api/answers';
import { SERVER_MISSING } from '../api/request';
import { Alert, ProblemAlert } from '../components/alert';
import { useApp, useStore } from '../components/context';
import { ServerMissing } from '../components/missing';
import { PracticeHint } from '../components/practice';
import { hubName } from '../domain/names';
import { isSameVersion, PACKAGE_VERSION } from '../domain/version';
import type { Store } from '../state/store';
import { FirstSteps } from './firststeps';

/** The top of the panel: which hub, what is wrong, and what screen readers hear when a job changes. */
export function Header(): JSX.Element {
  const { store } = useApp();
  const status = useStore(({ snapshot }) => snapshot.status);
  const problem = useStore(({ snapshot }) => snapshot.problem);
  const failure = useStore(({ actions }) => actions.problem);
  return (
    <>
      {problem?.code === SERVER_MISSING && <ServerMissing />}
      {problem && problem.code !== SERVER_MISSING && <ProblemAlert problem={problem} />}
      {status && <Status status={status} />}
      <FirstSteps />
      {failure && (
        <ProblemAlert problem={failure} onDismiss={() => store.actions.dismissProblem()}>
          <PracticeHint problem={failure} />
        </ProblemAlert>
      )}
      <Announcer />
    </>
  );
}

function Announcer(): JSX.Element {
  const { store, trans } = useApp();
  const [said, say] = React.useState('');
  React.useEffect(() => {
    const tell = (_: Store, job: IJob) => say(trans.__('%1: %2', job.title, job.state_words));
    store.jobChanged.connect(tell);
    return () => {
      store.jobChanged.disconnect(tell);
    };
  }, [store, trans]);
  return (
    <div className="jp-Qwen3ft-announcer" role="status" aria-live="polite">
      {said}
    </div>
  );
}

function Status({ status }: { readonly status: IStatus }): JSX.Element {
  const { trans } = useApp();
  const settings = status.settings.map(({ name, value, origin }) => `${name} = ${value} (${origin})`);
  return (
    <>
      {!isSameVersion(status.version) && (
        <Alert title={trans.__('Two versions at once')} look="warning">
          <p>
            {trans.__(
              'This page has version %1, the server has %2. Reload the page; if that does not help, restart JupyterLab.',
              PACKAGE_VERSION,
              status.version
            )}
          </p>
        </Alert>
      )}
      {status.warnings.map(warning => (
        <Alert key={warning} title={trans.__('Note')} look="info">
          <p>{warning}</p>
        </Alert>
      ))}
      <div className="jp-Qwen3ft-hub" title={settings.join('\n')}>
        {trans.__('Hub: %1', hubName(status.hub))}
      </div>
    </>
  );
}
