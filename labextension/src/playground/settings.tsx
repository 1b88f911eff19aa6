import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import type { ILanguage } from '../domain/language';
import { usePlayground, useSnapshot } from './context';
import { Field } from './field';
import type { Form, NumberName } from './form';
import { EMPTY_FORM, isUsable, NUMBER_NAMES, ownValue, RANGES } from './form';

/** How questions are asked. */
export function Settings({ id: ownId }: { readonly id: string }): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const { playground } = usePlayground();
  const { form, told } = useSnapshot();
  const isChanged = NUMBER_NAMES.some(name => form[name] !== '');
  return (
    <section id={ownId} className="jp-Qwen3ft-settings" aria-label={trans.__('Settings')}>
      {told.model?.hasAdapter && <SidesField form={form} />}
      <Field label={trans.__('System prompt')}>
        {id => (
          <textarea
            id={id}
            className="jp-Qwen3ft-text"
            rows={3}
            value={form.system}
            onChange={event => playground.fill({ system: event.target.value })}
          />
        )}
      </Field>
      {told.model?.canThink && (
        <label className="jp-Qwen3ft-check">
          <input
            type="checkbox"
            checked={form.thinking}
            onChange={event => playground.fill({ thinking: event.target.checked })}
          />
          <span>{trans.__('Let it think first')}</span>
        </label>
      )}
      <div className="jp-Qwen3ft-numbers">
        {NUMBER_NAMES.map(name => (
          <NumberField key={name} name={name} label={numberLabel(name, app)} />
        ))}
      </div>
      <p className="jp-Qwen3ft-meta">
        {told.model
          ? trans.__('What is left empty is the model’s own, shown in grey.')
          : trans.__('What is left empty is the model’s own.')}
      </p>
      {isChanged && (
        <ActionButton
          label={trans.__('Use the model’s own')}
          onClick={() =>
            playground.fill(Object.fromEntries(NUMBER_NAMES.map(name => [name, EMPTY_FORM[name]])))
          }
        />
      )}
    </section>
  );
}

function SidesField({ form }: { readonly form: Form }): JSX.Element {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const sides: ReadonlyArray<readonly [Form['sides'], string]> = [
    ['both', trans.__('Both, side by side')],
    ['tuned', trans.__('Fine-tuned')],
    ['base', trans.__('Base model')]
  ];
  return (
    <Field label={trans.__('Who answers')}>
      {id => (
        <select
          id={id}
          className="jp-Qwen3ft-select"
          value={form.sides}
          onChange={event => {
            const chosen = sides.find(([side]) => side === event.target.value);
            playground.fill({ sides: chosen?.[0] ?? 'both' });
          }}
        >
          {sides.map(([side, label]) => (
            <option key={side} value={side}>
              {label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface INumberProps {
  readonly name: NumberName;
  readonly label: string;
}

function NumberField({ name, label }: INumberProps): JSX.Element {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const { form, told } = useSnapshot();
  const range = RANGES[name];
  const isWrong = !isUsable(name, form[name]);
  const own = told.model ? ownValue(name, told.model.sampling) : '';
  return (
    <Field label={label}>
      {id => (
        <>
          <input
            id={id}
            className="jp-Qwen3ft-text"
            inputMode="decimal"
            placeholder={name === 'seed' ? trans.__('random') : own}
            value={form[name]}
            aria-invalid={isWrong || undefined}
            aria-describedby={isWrong ? `${id}-wrong` : undefined}
            onChange={event => playground.fill({ [name]: event.target.value })}
          />
          {isWrong && (
            <span id={`${id}-wrong`} className="jp-Qwen3ft-refusal">
              {trans.__(
                'A number from %1 to %2',
                'isAbove' in range ? `> ${range.min}` : range.min,
                range.max
              )}
            </span>
          )}
        </>
      )}
    </Field>
  );
}

function numberLabel(name: NumberName, { trans }: ILanguage): string {
  switch (name) {
    case 'temperature':
      return trans.__('Temperature');
    case 'top_p':
      return trans.__('Top-p');
    case 'top_k':
      return trans.__('Top-k');
    case 'max_new_tokens':
      return trans.__('Max tokens');
    case 'seed':
      return trans.__('Seed');
  }
}
