import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { cachedChoices, choiceKey, labelOf, tunedChoices } from './choices';
import type { IChoice } from './choices';
import { usePlayground, useSnapshot } from './context';
import { Field } from './field';
import { loadKey } from './snapshot';

/** What is talked to, in which kernel, and the buttons that load it and give its memory back. */
export function Loader(): JSX.Element {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const snapshot = useSnapshot();
  const { told, line, model, adapter } = snapshot;
  const isLoaded = told.model !== null && loadKey(snapshot) === snapshot.loaded;
  const isLoading = told.phase === 'loading' || line === 'starting';
  const isChosen = choiceKey({ model, adapter }) !== '';
  const hasKernel = line !== 'none' && line !== 'dead' && line !== 'refused';
  return (
    <div className="jp-Qwen3ft-loader">
      <ModelField isDisabled={isLoading || told.phase === 'answering'} />
      <KernelField isDisabled={isLoading || told.phase === 'answering'} />
      <div className="jp-Qwen3ft-actions">
        {isLoading ? (
          <ActionButton
            label={trans.__('Stop')}
            description={trans.__('Stop loading')}
            isBusy={snapshot.isStopping}
            onClick={() => void playground.stopLoad()}
          />
        ) : (
          <ActionButton
            look={isLoaded ? 'plain' : 'primary'}
            label={isLoaded ? trans.__('Load again') : trans.__('Load')}
            isDisabled={!isChosen || told.phase === 'answering'}
            onClick={() => void playground.load()}
          />
        )}
        {hasKernel && !isLoading && (
          <ActionButton
            label={trans.__('Shut down')}
            description={trans.__('Shut down the kernel: its memory is free again, what was said stays')}
            onClick={() => void playground.shutdown()}
          />
        )}
      </div>
    </div>
  );
}

interface IFieldProps {
  readonly isDisabled: boolean;
}

function ModelField({ isDisabled }: IFieldProps): JSX.Element {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const { model, adapter } = useSnapshot();
  const cache = useStore(store => store.snapshot.cache);
  const jobs = useStore(store => store.snapshot.jobs);
  const [models, runs] = [cachedChoices(cache), tunedChoices(jobs)];
  const chosen = choiceKey({ model, adapter });
  const all = [...models, ...runs];
  const isListed = chosen === '' || all.some(each => choiceKey(each) === chosen);
  const choose = (key: string) => {
    const found = all.find(each => choiceKey(each) === key);
    if (found) {
      playground.choose(found.model, found.adapter);
    }
  };
  return (
    <Field label={trans.__('Model')} className="jp-mod-model">
      {id => (
        <select
          id={id}
          className="jp-Qwen3ft-select"
          value={chosen}
          disabled={isDisabled}
          onChange={event => choose(event.target.value)}
        >
          {chosen === '' && <option value="">{trans.__('Choose a model')}</option>}
          {!isListed && <option value={chosen}>{labelOf({ model, adapter }, all)}</option>}
          <Options label={trans.__('Models on this disk')} choices={models} />
          <Options label={trans.__('Fine-tuned')} choices={runs} />
        </select>
      )}
    </Field>
  );
}

interface IOptionsProps {
  readonly label: string;
  readonly choices: ReadonlyArray<IChoice>;
}

function Options({ label, choices }: IOptionsProps): JSX.Element | null {
  return choices.length === 0 ? null : (
    <optgroup label={label}>
      {choices.map(choice => (
        <option key={choiceKey(choice)} value={choiceKey(choice)}>
          {choice.label}
        </option>
      ))}
    </optgroup>
  );
}

function KernelField({ isDisabled }: IFieldProps): JSX.Element {
  const { trans } = useApp();
  const { playground, specs } = usePlayground();
  const { spec } = useSnapshot();
  const usual = usualSpec(specs);
  return (
    <Field label={trans.__('Kernel')}>
      {id => (
        <select
          id={id}
          className="jp-Qwen3ft-select"
          value={spec || usual}
          disabled={isDisabled}
          onChange={event => playground.chooseSpec(event.target.value)}
        >
          {pythonSpecs(specs).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

type Specs = ReturnType<typeof usePlayground>['specs'];

function pythonSpecs({ specs }: Specs): ReadonlyArray<readonly [name: string, title: string]> {
  return Object.entries(specs?.kernelspecs ?? {}).flatMap(([name, spec]) =>
    spec?.language === 'python' ? [[name, spec.display_name] as const] : []
  );
}

/** The kind of kernel that is taken where none is chosen: the lab's own Python. */
export function usualSpec(specs: Specs): string {
  const names = pythonSpecs(specs).map(([name]) => name);
  const usual = specs.specs?.default ?? '';
  return names.includes(usual) ? usual : (names[0] ?? usual);
}
