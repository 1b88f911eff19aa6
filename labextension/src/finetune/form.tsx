import * as React from 'react';

import { SERVER_MISSING } from '../api/request';
import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { ServerMissing } from '../components/missing';
import { Actions, Started } from './actions';
import { Advanced, Unknown } from './advanced';
import { useModel } from './context';
import { Fit } from './fit';
import { Seen } from './seen';
import { DataChoice, GoalChoice, MethodChoice, ModelChoice } from './setup';
import { Waiting } from './waiting';
import { inARow } from '../domain/words';

/** The whole form: what is asked on one side, what comes of it on the other. */
export function Form(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  return (
    <>
      <div className="jp-Qwen3ft-formBody">
        <Trouble />
        {model.schema.isBusy && (
          <Waiting label={trans.__('Asking the server for the fields')} onStop={() => model.schema.stop()} />
        )}
        {model.schema.value !== null && (
          <FocusKeeper>
            <div className="jp-Qwen3ft-columns">
              <div className="jp-Qwen3ft-column">
                <ModelChoice />
                <DataChoice />
                <MethodChoice />
                <GoalChoice />
                <Unknown />
                <General />
                <Advanced />
              </div>
              <div className="jp-Qwen3ft-column">
                <Started />
                <Fit />
                <Seen />
              </div>
            </div>
          </FocusKeeper>
        )}
      </div>
      <Actions />
    </>
  );
}

/** What keeps the form from being of use: what to do about it. What is filled in stays. */
function Trouble(): JSX.Element | null {
  const { trans } = useApp();
  const model = useModel();
  const isKnown = useStore(({ snapshot }) => snapshot.status !== null && snapshot.problem === null);
  const problem = model.schema.problem ?? model.checked.problem;
  if (problem === null) {
    return null;
  }
  const again = <ActionButton label={trans.__('Try again')} onClick={() => model.load()} />;
  if (problem.code !== SERVER_MISSING) {
    return <ProblemAlert problem={problem}>{again}</ProblemAlert>;
  }
  return isKnown ? (
    <ProblemAlert
      problem={{
        ...problem,
        code: 'old-server',
        message: trans.__(
          'The running server does not know this form: it was started before the last update.'
        ),
        hint: trans.__('Restart JupyterLab; what is filled in here is kept.')
      }}
    >
      {again}
    </ProblemAlert>
  ) : (
    <>
      <ServerMissing />
      {again}
    </>
  );
}

/** What is wrong with the config as a whole. */
function General(): JSX.Element | null {
  const model = useModel();
  const general = model.problems.filter(each => each.fields.length === 0);
  return general.length === 0 ? null : (
    <p className="jp-Qwen3ft-refusal" role="alert">
      {inARow(...general.map(each => each.message))}
    </p>
  );
}
