import * as React from 'react';

import { text } from '../api/read';
import { useApp } from '../components/context';
import { useModel } from './context';
import type { IField } from './fields';
import { inARow } from '../domain/words';

/** One field: label, control, what is wrong with it, and its help. */
export const Field = React.memo(function Field({ field }: { readonly field: IField }): JSX.Element {
  const model = useModel();
  const id = React.useId();
  const problems = model.problemsOf(field.name);
  const control: IControlProps = {
    field,
    id,
    isInvalid: problems.length > 0,
    describedBy: problems.length > 0 ? `${id}-problem ${id}-help` : `${id}-help`
  };
  const isFlag = field.kind === 'flag';
  const label = (
    <label htmlFor={id}>
      {field.title}
      {field.unit && <span className="jp-Qwen3ft-unit"> ({field.unit})</span>}
    </label>
  );
  return (
    <div className={`jp-Qwen3ft-field${isFlag ? ' jp-mod-flag' : ''}`} data-field={field.name}>
      <div className="jp-Qwen3ft-fieldHead">
        {isFlag && <Control {...control} />}
        {label}
        {field.title !== field.name && <code className="jp-Qwen3ft-fieldName">{field.name}</code>}
      </div>
      {!isFlag && <Control {...control} />}
      <Problems id={`${id}-problem`} problems={problems} />
      <p id={`${id}-help`} className="jp-Qwen3ft-help">
        {field.help}
      </p>
    </div>
  );
});

/** What is wrong, next to what it is about. */
export function Problems(props: {
  readonly id: string;
  readonly problems: ReadonlyArray<string>;
}): JSX.Element | null {
  return props.problems.length === 0 ? null : (
    <p id={props.id} className="jp-Qwen3ft-refusal jp-mod-field">
      {inARow(...props.problems)}
    </p>
  );
}

interface IControlProps {
  readonly field: IField;
  readonly id: string;
  readonly isInvalid: boolean;
  readonly describedBy: string;
}

function Control({ field, id, isInvalid, describedBy }: IControlProps): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  const standard = model.checked.value?.defaults[field.name];
  const value = model.draft.values[field.name];
  const common = {
    id,
    'aria-invalid': isInvalid || undefined,
    'aria-describedby': describedBy
  };
  const typed = typeof value === 'string' ? value : '';
  const set = (given: string | boolean | null) => model.set({ [field.name]: given });
  switch (field.kind) {
    case 'flag':
      return (
        <input
          {...common}
          type="checkbox"
          checked={value === undefined ? standard === true : value === true}
          onChange={event => set(event.target.checked === (standard === true) ? null : event.target.checked)}
        />
      );
    case 'choice':
      return (
        <select
          {...common}
          className="jp-Qwen3ft-input"
          value={typed}
          onChange={event => set(event.target.value)}
        >
          <option value="">
            {trans.__('Default: %1', shown(standard) || trans.__('decided by itself'))}
          </option>
          {[...field.choices, ...(typed !== '' && !field.choices.includes(typed) ? [typed] : [])].map(
            choice => (
              <option key={choice} value={choice}>
                {choice}
              </option>
            )
          )}
        </select>
      );
    case 'lines':
      return (
        <textarea
          {...common}
          className="jp-Qwen3ft-input"
          rows={3}
          spellCheck={false}
          value={typed}
          onChange={event => set(event.target.value)}
        />
      );
    default:
      return (
        <input
          {...common}
          className="jp-Qwen3ft-input"
          type="text"
          inputMode={field.kind === 'number' ? 'decimal' : undefined}
          autoComplete="off"
          spellCheck={false}
          placeholder={shown(standard)}
          value={typed}
          onChange={event => set(event.target.value)}
        />
      );
  }
}

/** A default as it would be typed. */
function shown(value: unknown): string {
  return Array.isArray(value) ? value.map(text).join(', ') : text(value);
}
