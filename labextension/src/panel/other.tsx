import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IProblem } from '../api/answers';
import type { INamed } from '../api/details';
import { toProblem } from '../api/request';
import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import type { IApp } from '../components/context';
import { useApp, usePending } from '../components/context';
import { reviewDownload } from '../components/review';
import { isAddress, optionsOf } from '../domain/named';
import { PlanButton } from './model';
import { inARow } from '../domain/words';

/** After the last key the server is asked what a text means. */
const PAUSE_MS = 300;

/** What a text means: the model, or why it means none; both null while that is not known. */
export interface IMeaning {
  readonly named: INamed | null;
  readonly problem: IProblem | null;
}

const UNKNOWN: IMeaning = { named: null, problem: null };

/** What an address or the name of a model means, as the server reads it; of plain words nobody is asked. */
export function useMeaning(text: string): IMeaning {
  const { store } = useApp();
  const [meaning, setMeaning] = React.useState<IMeaning & { readonly text: string }>({
    ...UNKNOWN,
    text: ''
  });
  React.useEffect(() => {
    if (!isAddress(text)) {
      return;
    }
    let isCurrent = true;
    const timer = setTimeout(() => {
      store.client.readName(text).then(
        named => isCurrent && setMeaning({ named, problem: null, text }),
        error => isCurrent && setMeaning({ named: null, problem: toProblem(error), text })
      );
    }, PAUSE_MS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [store, text]);
  return meaning.text === text ? meaning : UNKNOWN;
}

/** Download what an address that matches nothing in the list means, or say why it means no model. */
export function Meant({ meaning }: { readonly meaning: IMeaning }): JSX.Element | null {
  const { store, trans } = useApp();
  const { named, problem } = meaning;
  const isPending = usePending(named?.model_name ?? '');
  if (problem !== null) {
    return <Refusal problem={problem} />;
  }
  if (named === null) {
    return null;
  }
  const name = named.revision === '' ? named.model_name : `${named.model_name}@${named.revision}`;
  return (
    <span className="jp-Qwen3ft-meant">
      <PlanButton modelName={named.model_name} options={optionsOf(named)} />
      <ActionButton
        icon={downloadIcon}
        look="primary"
        label={trans.__('Download %1', name)}
        isBusy={isPending}
        onClick={() => void store.actions.download(named.model_name, optionsOf(named))}
      />
    </span>
  );
}

/** Why a text means no model, and what to write instead. */
function Refusal({ problem }: { readonly problem: IProblem }): JSX.Element {
  return (
    <p role="alert" className="jp-Qwen3ft-refusal jp-mod-field">
      {inARow(problem.message, problem.hint)}
    </p>
  );
}

/** Any other model of the hub, by its name there or by an address. */
export function OtherModel(): JSX.Element {
  const app = useApp();
  const { store, trans } = app;
  const [text, setText] = React.useState('');
  const [refusal, setRefusal] = React.useState('');
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const [name, setName] = React.useState('');
  const id = React.useId();
  const shown = React.useRef<HTMLDivElement>(null);
  /** What is in the field now, for those who have waited for an answer. */
  const typed = React.useRef('');
  // It may be below what the section shows.
  React.useEffect(() => {
    if (refusal !== '' || problem !== null) {
      shown.current?.scrollIntoView({ block: 'nearest' });
    }
  }, [refusal, problem]);
  const given = text.trim();
  const type = (words: string): void => {
    typed.current = words;
    setText(words);
    setRefusal('');
    setProblem(null);
  };
  const read = async (): Promise<INamed | null> => {
    const found = await meaningOf(app, given);
    if (typed.current === text) {
      setRefusal(found.refusal);
      setProblem(found.problem);
      setName(found.named?.model_name ?? '');
    }
    return found.named;
  };
  const submit = async (): Promise<void> => {
    const named = await read();
    const isBegun = named !== null && (await store.actions.download(named.model_name, optionsOf(named)));
    if (isBegun && typed.current === text) {
      type('');
    }
  };
  const plan = async (): Promise<void> => {
    const named = await read();
    if (named !== null) {
      await reviewDownload(app, named.model_name, optionsOf(named));
    }
  };
  return (
    <form
      className="jp-Qwen3ft-other"
      noValidate
      onSubmit={event => {
        event.preventDefault();
        void submit();
      }}
    >
      <label htmlFor={id}>{trans.__('Another model of the hub')}</label>
      <div className="jp-Qwen3ft-otherFields">
        <input
          id={id}
          type="text"
          className="jp-mod-styled"
          value={text}
          placeholder={trans.__('owner/name, or an address')}
          spellCheck={false}
          autoComplete="off"
          aria-invalid={refusal !== '' || problem !== null || undefined}
          aria-describedby={refusal !== '' || problem !== null ? `${id}-refusal` : undefined}
          onChange={event => type(event.target.value)}
        />
        <PlanButton modelName={given} isDisabled={!isAddress(given)} onClick={() => void plan()} />
        <ActionButton
          icon={downloadIcon}
          label={trans.__('Download')}
          description={trans.__('Download the model named here')}
          isSubmit
          isBusy={usePending(name)}
        />
      </div>
      <div ref={shown} id={`${id}-refusal`}>
        <div role="alert" className="jp-Qwen3ft-refusal">
          {refusal}
        </div>
        {problem && <ProblemAlert problem={problem} onDismiss={() => setProblem(null)} />}
      </div>
    </form>
  );
}

/** What a text means, and in words of our own or of the server why it means no model. */
async function meaningOf(
  { store, trans }: IApp,
  given: string
): Promise<IMeaning & { readonly refusal: string }> {
  if (!isAddress(given)) {
    const refusal =
      given === ''
        ? trans.__('Write a name first: owner/name, for example Qwen/Qwen3-0.6B.')
        : trans.__('“%1” is no model’s name. Write owner/name, for example Qwen/Qwen3-0.6B.', given);
    return { ...UNKNOWN, refusal };
  }
  try {
    return { named: await store.client.readName(given), problem: null, refusal: '' };
  } catch (error) {
    return { named: null, problem: toProblem(error), refusal: '' };
  }
}
