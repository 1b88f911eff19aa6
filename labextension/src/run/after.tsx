import { runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Afterwards } from '../api/client';
import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp, usePending, useStore } from '../components/context';
import { Pairs } from '../components/pairs';
import { useRun } from './context';
import type { Fields } from './plan';
import { given, planPairs, usePlan } from './plan';

/** What a form is for, and what it says. */
export interface IFormProps {
  /** What a request names the run by. */
  readonly run: string;
  readonly onClose: () => void;
}

/** Merges the adapter of the run into its base model. */
export function MergeForm(props: IFormProps): JSX.Element {
  const { trans } = useApp();
  const [folder, setFolder] = React.useState('');
  const [isReplaced, setReplaced] = React.useState(false);
  return (
    <PlannedForm
      {...props}
      what="merge"
      title={trans.__('Merge the adapter into its base model')}
      about={trans.__('The result is a whole model, which any program loads by itself.')}
      action={trans.__('Merge')}
      fields={{ run: props.run, output_dir: folder, overwrite: isReplaced }}
    >
      <FolderField value={folder} onChange={setFolder} />
      <ReplaceField value={isReplaced} onChange={setReplaced} />
    </PlannedForm>
  );
}

/** Hands the result to what serves it. */
export function ExportForm(props: IFormProps): JSX.Element {
  const { trans } = useApp();
  const [to, setTo] = React.useState('vllm');
  const [folder, setFolder] = React.useState('');
  const [isReplaced, setReplaced] = React.useState(false);
  const targets: ReadonlyArray<readonly [string, string]> = [
    ['vllm', 'vLLM'],
    ['sglang', 'SGLang'],
    ['ollama', 'Ollama'],
    ['gguf', trans.__('llama.cpp (GGUF)')],
    ['safetensors', trans.__('transformers (safetensors)')]
  ];
  return (
    <PlannedForm
      {...props}
      what="export"
      title={trans.__('Export the result')}
      about={trans.__('You get the line that serves it, ready to be copied.')}
      action={trans.__('Export')}
      fields={{ run: props.run, to, output_dir: folder, overwrite: isReplaced }}
    >
      <label className="jp-Qwen3ft-field">
        {trans.__('Served by')}
        <select className="jp-mod-styled" value={to} onChange={event => setTo(event.target.value)}>
          {targets.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <FolderField value={folder} onChange={setFolder} />
      <ReplaceField value={isReplaced} onChange={setReplaced} />
    </PlannedForm>
  );
}

/** Measures the result on rows that it has not seen. */
export function EvaluateForm(props: IFormProps): JSX.Element {
  const { trans } = useApp();
  const [data, setData] = React.useState('');
  return (
    <PlannedForm
      {...props}
      what="evaluate"
      title={trans.__('Evaluate the result')}
      about={trans.__('Loss, perplexity, scores and answers, beside those of its base model.')}
      action={trans.__('Evaluate')}
      fields={{ run: props.run, data }}
    >
      <label className="jp-Qwen3ft-field">
        {trans.__('Data')}
        <input
          className="jp-mod-styled"
          value={data}
          placeholder={trans.__('the rows kept out of training')}
          onChange={event => setData(event.target.value)}
        />
        <span className="jp-Qwen3ft-meta">
          {trans.__('The whole path of a file or a folder on the server.')}
        </span>
      </label>
    </PlannedForm>
  );
}

interface IPlannedProps extends IFormProps {
  readonly what: Afterwards;
  readonly title: string;
  readonly about: string;
  readonly action: string;
  readonly fields: Fields;
  readonly children: React.ReactNode;
}

/** A form that shows what it would do as long as it has not been sent. */
function PlannedForm(props: IPlannedProps): JSX.Element {
  const { what, title, about, action, fields, children, onClose } = props;
  const app = useApp();
  const { store, trans } = app;
  const key = `${useRun().jobId} ${what}`;
  const isPending = usePending(key);
  React.useEffect(() => store.actions.tellBeside(key), [store, key]);
  const failure = useStore(({ actions }) => actions.problemOf(key));
  const { plan, problem } = usePlan(what, fields);
  const start = async () => {
    if (await store.actions.act(key, async client => void (await client.start(what, given(fields))))) {
      onClose();
    }
  };
  return (
    <FormBox title={title} onSubmit={() => void start()}>
      <p className="jp-Qwen3ft-meta">{about}</p>
      <div className="jp-Qwen3ft-fields">{children}</div>
      {problem && <ProblemAlert problem={problem} />}
      {failure && <ProblemAlert problem={failure} onDismiss={() => store.actions.dismissProblem()} />}
      <div aria-live="polite">
        {plan && <Pairs className="jp-Qwen3ft-result" pairs={planPairs(plan, app)} />}
        {!plan && !problem && <p className="jp-Qwen3ft-meta">{trans.__('Asking the server…')}</p>}
      </div>
      <div className="jp-Qwen3ft-actions">
        <ActionButton
          isSubmit
          look="primary"
          icon={runIcon}
          label={action}
          isBusy={isPending}
          isDisabled={plan === null}
        />
        <ActionButton label={trans.__('Cancel')} onClick={onClose} />
      </div>
    </FormBox>
  );
}

interface IBoxProps {
  readonly title: string;
  readonly onSubmit: () => void;
  readonly children: React.ReactNode;
}

/** A form below the buttons, whose heading has the focus when it opens. */
export function FormBox({ title, onSubmit, children }: IBoxProps): JSX.Element {
  const heading = React.useRef<HTMLHeadingElement>(null);
  React.useEffect(() => heading.current?.focus(), []);
  return (
    <form
      className="jp-Qwen3ft-runForm"
      aria-label={title}
      onSubmit={event => {
        event.preventDefault();
        onSubmit();
      }}
    >
      <h3 ref={heading} tabIndex={-1}>
        {title}
      </h3>
      {children}
    </form>
  );
}

interface ITextProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
}

function FolderField({ value, onChange }: ITextProps): JSX.Element {
  const { trans } = useApp();
  return (
    <label className="jp-Qwen3ft-field">
      {trans.__('Folder')}
      <input
        className="jp-mod-styled"
        value={value}
        placeholder={trans.__('beside the run')}
        onChange={event => onChange(event.target.value)}
      />
      <span className="jp-Qwen3ft-meta">{trans.__('A whole path on the server.')}</span>
    </label>
  );
}

interface IFlagProps {
  readonly value: boolean;
  readonly onChange: (value: boolean) => void;
}

function ReplaceField({ value, onChange }: IFlagProps): JSX.Element {
  const { trans } = useApp();
  return (
    <label className="jp-Qwen3ft-check">
      <input type="checkbox" checked={value} onChange={event => onChange(event.target.checked)} />
      {trans.__('Replace what an earlier merge or export wrote there')}
    </label>
  );
}
