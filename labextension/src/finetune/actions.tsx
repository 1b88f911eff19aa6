import { runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { JobCard } from '../components/card';
import { useApp, useStore } from '../components/context';
import { CommandIDs } from '../domain/commands';
import { useDesk, useModel } from './context';
import type { FineTuneModel } from './model';
import { Waiting } from './waiting';

/** What can be done with the form, and where it would run. */
export function Actions(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  const { insertCell, save } = useDesk();
  const missing = useMissing();
  const isReady = model.schema.value !== null;
  return (
    <div className="jp-Qwen3ft-actionBar">
      {model.starting.problem !== null && !model.starting.isBusy && (
        <ProblemAlert problem={model.starting.problem} onDismiss={() => model.starting.clear()} />
      )}
      {model.starting.isBusy && (
        <Waiting
          label={trans.__('Checking everything before the start')}
          onStop={() => model.starting.stop()}
        />
      )}
      <div className="jp-Qwen3ft-actions">
        <ActionButton
          icon={runIcon}
          look="primary"
          label={trans.__('Start')}
          description={trans.__('Start the fine-tune')}
          isBusy={model.starting.isBusy}
          isDisabled={!isReady || missing.length > 0 || model.isRunning}
          onClick={button => {
            model.start();
            if (model.problems.length > 0) {
              focusFirst(button);
            }
          }}
        />
        {insertCell && (
          <ActionButton
            label={trans.__('Insert cell')}
            description={trans.__('Insert cell: the same as YAML in a notebook, to be changed and run there')}
            isDisabled={!isReady}
            onClick={() => void insertCell()}
          />
        )}
        <ActionButton label={trans.__('Save as YAML…')} isDisabled={!isReady} onClick={() => void save()} />
        <span className="jp-Qwen3ft-state" role="status">
          {useStateWords(model)}
        </span>
      </div>
      <Where missing={missing} isRunning={model.isRunning} />
    </div>
  );
}

/** How the form stands, for eyes that do not see the panes, and for ears. */
function useStateWords(model: FineTuneModel): string {
  const { trans } = useApp();
  const count = model.problems.length;
  if (count > 0) {
    return trans._n('%1 field is wrong.', '%1 fields are wrong.', count, count);
  }
  if (model.checked.value?.problems.length !== 0 || !model.isPlanFresh || model.plan.value === null) {
    return '';
  }
  const { fits, has_room } = model.plan.value;
  if (!has_room) {
    return trans.__('Not enough disk');
  }
  const words = {
    yes: trans.__('It fits.'),
    no: trans.__('It does not fit.'),
    unknown: trans.__('It may not fit.')
  };
  return words[fits];
}

/** Go to the first field that is wrong. */
function focusFirst(button: HTMLElement): void {
  // Once what is wrong is drawn, and the part is open that it stands in.
  setTimeout(() => {
    const form = button.closest('.jp-Qwen3ft-form');
    const wrong =
      form?.querySelector<HTMLElement>('[aria-invalid="true"]') ??
      form?.querySelector<HTMLElement>('[data-field="data"] button');
    wrong?.focus();
  }, 50);
}

/** The packages of training that the server's Python lacks. */
function useMissing(): ReadonlyArray<string> {
  const training = useStore(({ snapshot }) => snapshot.status?.training);
  return Object.entries(training ?? {}).flatMap(([name, isThere]) =>
    isThere || name === 'bitsandbytes' ? [] : [name]
  );
}

function Where(props: { readonly missing: ReadonlyArray<string>; readonly isRunning: boolean }): JSX.Element {
  const { trans } = useApp();
  const python = useStore(({ snapshot }) => snapshot.status?.python ?? '');
  const { missing, isRunning } = props;
  if (missing.length > 0) {
    return (
      <p className="jp-Qwen3ft-help">
        {trans.__(
          'JupyterLab’s own Python %1 lacks %2, so that nothing can be started there. Install qwen3ft-jupyter[train] in it; or insert a cell: it runs with the Python of the notebook’s kernel.',
          python,
          missing.join(', ')
        )}
      </p>
    );
  }
  return (
    <p className="jp-Qwen3ft-help">
      {isRunning
        ? trans.__(
            'The fine-tune of this form is at work. Stop it to start another one, or open another form.'
          )
        : trans.__(
            'Start runs it beside JupyterLab, with JupyterLab’s own Python %1: it goes on without this page. A cell runs it with the Python of the notebook’s kernel.',
            python
          )}
    </p>
  );
}

/** The job that was started from here. */
export function Started(): JSX.Element | null {
  const { commands, trans } = useApp();
  const { job } = useModel();
  const pane = React.useRef<HTMLElement>(null);
  const id = job?.id;
  // Whoever starts it far down in the form sees that it has begun.
  React.useEffect(() => pane.current?.scrollIntoView({ block: 'nearest' }), [id]);
  if (job === null) {
    return null;
  }
  return (
    <section ref={pane} className="jp-Qwen3ft-pane" aria-label={trans.__('The run that was started here')}>
      <h2>{trans.__('Run')}</h2>
      <JobCard job={job} isListed>
        {commands.hasCommand(CommandIDs.openRun) && (
          <ActionButton
            look="primary"
            label={trans.__('Open the run')}
            description={trans.__('Open the run: %1', job.title)}
            onClick={() => void commands.execute(CommandIDs.openRun, { job_id: job.id })}
          />
        )}
      </JobCard>
    </section>
  );
}
