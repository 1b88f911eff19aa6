import { caretDownIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IJob } from '../api/answers';
import type { Json } from '../api/read';
import { text } from '../api/read';
import type { IRun } from '../api/runs';
import { Alert, ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { ChatButton, ForgetButton, NotebookButton, ResumeButton, StopButton } from '../components/buttons';
import { StateBadge, times } from '../components/card';
import { useApp, useStore } from '../components/context';
import { Pairs } from '../components/pairs';
import { JobProgress } from '../components/progress';
import { RankTable } from '../components/ranks';
import { CommandIDs } from '../domain/commands';
import { isActive } from '../domain/jobs';
import { resultWords } from '../domain/result';
import { amountWords } from '../domain/words';
import { EvaluateForm, ExportForm, MergeForm } from './after';
import { usePicture, useRun } from './context';
import { PushForm } from './push';

/** What the run is, how it stands, and what can be done. */
export function Header(): JSX.Element {
  const job = usePicture(picture => picture.job);
  const run = usePicture(picture => picture.run);
  const isForgotten = usePicture(picture => picture.isForgotten);
  const { trans } = useApp();
  const { jobId } = useRun();
  return (
    <div className="jp-Qwen3ft-runHead">
      <div className="jp-Qwen3ft-rowHead">
        <h2>{job?.title ?? folderName(run?.folder ?? '') ?? jobId}</h2>
        {job && <StateBadge job={job} />}
      </div>
      <Problems />
      {isForgotten && <Forgotten folder={run?.folder ?? ''} />}
      {job ? <JobHead job={job} /> : !isForgotten && <p>{trans.__('Asking the server…')}</p>}
      {run?.result && <After run={run} job={job} />}
    </div>
  );
}

function folderName(folder: string): string | null {
  return folder.slice(Math.max(folder.lastIndexOf('/'), folder.lastIndexOf('\\')) + 1) || null;
}

/** Why what is shown is not fresh, or not there. */
function Problems(): JSX.Element {
  const { store, trans } = useApp();
  const { jobId } = useRun();
  const lost = useStore(({ snapshot }) => snapshot.problem);
  const failure = useStore(({ actions }) => actions.problemOf(jobId));
  const problem = usePicture(picture => picture.problem);
  const isReplaced = usePicture(picture => picture.isReplaced);
  return (
    <>
      {lost && <ProblemAlert problem={lost} />}
      {failure && <ProblemAlert problem={failure} onDismiss={() => store.actions.dismissProblem()} />}
      {problem && !isReplaced && <ProblemAlert problem={problem} />}
      {isReplaced && (
        <Alert look="warning" title={trans.__('Its results are gone')}>
          <p>{trans.__('A later run has taken its folder.')}</p>
        </Alert>
      )}
    </>
  );
}

function Forgotten({ folder }: { readonly folder: string }): JSX.Element {
  const { trans } = useApp();
  return (
    <Alert look="info" title={trans.__('This job has been forgotten')}>
      <p>
        {folder === ''
          ? trans.__('Nothing more is known of it here; what it made lies in its output folder.')
          : trans.__('Its record and log are gone; what it made stays in %1.', folder)}
      </p>
    </Alert>
  );
}

/** The job: progress, what was said on the way, why it ended, and how to go on. */
function JobHead({ job }: { readonly job: IJob }): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const result = resultWords(job, app);
  const canResume = job.state === 'stopped' || job.state === 'failed' || job.state === 'interrupted';
  return (
    <>
      <div className="jp-Qwen3ft-meta">{times(job, app).join(' · ')}</div>
      {job.error && <ProblemAlert problem={job.error} />}
      {job.state === 'interrupted' && (
        <Alert look="warning" title={trans.__('The run was interrupted')}>
          <p>
            {trans.__(
              'Its process is gone, or the machine was restarted. Resume goes on from the last checkpoint.'
            )}
          </p>
        </Alert>
      )}
      <div className="jp-Qwen3ft-actions">
        {canResume && <ResumeButton job={job} />}
        {isActive(job) && <StopButton job={job} />}
        <NotebookButton job={job} />
        {!isActive(job) && <ForgetButton job={job} />}
      </div>
      {isActive(job) && (
        <>
          <JobProgress job={job} />
          {job.state !== 'stopping' && (
            <div className="jp-Qwen3ft-meta">
              {trans.__('Stop finishes the step at hand and saves a checkpoint; Resume goes on from there.')}
            </div>
          )}
        </>
      )}
      {canResume && job.progress !== null && job.progress.done > 0 && (
        <div className="jp-Qwen3ft-meta">{trans.__('Reached: %1', amountWords(job.progress, app))}</div>
      )}
      {result.length > 0 && <Pairs className="jp-Qwen3ft-result" pairs={result} />}
      <RankTable job={job} />
      <Notices notices={job.notices} />
    </>
  );
}

/** What was said on the way; a long list is folded. */
function Notices({ notices }: { readonly notices: ReadonlyArray<string> }): JSX.Element | null {
  const { trans } = useApp();
  if (notices.length === 0) {
    return null;
  }
  return (
    <details className="jp-Qwen3ft-details">
      <summary>{trans._n('%1 notice', '%1 notices', notices.length)}</summary>
      <ul className="jp-Qwen3ft-notices" aria-label={trans.__('Notices')}>
        {notices.map((notice, index) => (
          <li key={index}>{notice}</li>
        ))}
      </ul>
    </details>
  );
}

type FormName = 'merge' | 'export' | 'evaluate' | 'push';

interface IAfterProps {
  readonly run: IRun;
  readonly job: IJob | null;
}

/** What can be done with a result: one form at a time, below the buttons. */
function After({ run, job }: IAfterProps): JSX.Element {
  const { trans } = useApp();
  const [open, setOpen] = React.useState<FormName | null>(null);
  const buttons = React.useRef<HTMLDivElement>(null);
  const name = job?.id ?? run.folder;
  const isAdapter = text(run.result?.method) === 'lora';
  const offers: ReadonlyArray<readonly [FormName, string, string]> = [
    ['merge', trans.__('Merge…'), trans.__('Merge… the adapter into its base model')],
    ['export', trans.__('Export…'), trans.__('Export… to vLLM, SGLang, Ollama or llama.cpp')],
    ['evaluate', trans.__('Evaluate…'), trans.__('Evaluate… on rows that it has not seen')],
    ['push', trans.__('Publish…'), trans.__('Publish… on ModelScope or Hugging Face')]
  ];
  const close = () => {
    const label = open;
    setOpen(null);
    buttons.current?.querySelector<HTMLElement>(`[data-form="${label ?? ''}"] button`)?.focus();
  };
  return (
    <>
      <div ref={buttons} className="jp-Qwen3ft-actions" role="group" aria-label={trans.__('With the result')}>
        <ChatButton model={text(run.config.model)} adapter={name} />
        {offers
          .filter(([form]) => isAdapter || form !== 'merge')
          .map(([form, label, description]) => (
            <span key={form} data-form={form}>
              <ActionButton
                icon={caretDownIcon}
                label={label}
                description={description}
                isExpanded={open === form}
                onClick={() => setOpen(open === form ? null : form)}
              />
            </span>
          ))}
        <ContinueButton run={run} name={name} />
      </div>
      {open === 'merge' && <MergeForm run={name} onClose={close} />}
      {open === 'export' && <ExportForm run={name} onClose={close} />}
      {open === 'evaluate' && <EvaluateForm run={name} onClose={close} />}
      {open === 'push' && <PushForm run={name} onClose={close} />}
    </>
  );
}

interface IContinueProps {
  readonly run: IRun;
  readonly name: string;
}

/** Trains the result further: in the form where there is one, else in a cell. */
function ContinueButton({ run, name }: IContinueProps): JSX.Element | null {
  const { commands, trans } = useApp();
  const { openFineTune, insertFineTuneCells } = CommandIDs;
  const command = [openFineTune, insertFineTuneCells].find(id => commands.hasCommand(id));
  if (command === undefined) {
    return null;
  }
  const config = furtherConfig(run, name);
  const yaml = Object.entries(config).map(([field, value]) => `${field}: ${JSON.stringify(value)}`);
  return (
    <ActionButton
      label={trans.__('Train further')}
      description={trans.__('Train further: more epochs, or new data')}
      onClick={() =>
        void commands.execute(command, command === openFineTune ? { config } : { yaml: yaml.join('\n') })
      }
    />
  );
}

/** What is not said is that of the run. */
function furtherConfig({ config, folder }: IRun, name: string) {
  const { model, data, epochs }: Json = config;
  const said = { model, data, init_from: name, epochs, output_dir: `${folder}-further` };
  // What a command is given has to be JSON.
  return JSON.parse(JSON.stringify(said));
}
