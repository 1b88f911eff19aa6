import { closeIcon, searchIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IModel } from '../api/answers';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import type { IFilter, Kind, Part, Role, Size } from '../domain/filters';
import { activeParts, hidden, KINDS, rolesOf, SIZES } from '../domain/filters';
import type { ILanguage } from '../domain/language';

interface IFiltersProps {
  readonly query: string;
  readonly onQuery: (query: string) => void;
  readonly filter: IFilter;
  readonly onFilter: (filter: IFilter) => void;
  /** All that could be listed. */
  readonly models: ReadonlyArray<IModel>;
}

/** What the list is cut down by: words, and three choices. */
export function Filters({ query, onQuery, filter, onFilter, models }: IFiltersProps): JSX.Element {
  const app = useApp();
  const { trans } = app;
  return (
    <>
      <div className="jp-Qwen3ft-search">
        <searchIcon.react tag="span" className="jp-Qwen3ft-searchIcon" aria-hidden="true" />
        <input
          type="search"
          className="jp-mod-styled"
          value={query}
          placeholder={trans.__('Filter models')}
          aria-label={trans.__('Filter models')}
          onChange={event => onQuery(event.target.value)}
        />
      </div>
      <div className="jp-Qwen3ft-filters">
        <Choice
          label={trans.__('Which models')}
          values={KINDS}
          value={filter.kind}
          words={kind => kindWords(kind, app)}
          onChange={kind => onFilter({ ...filter, kind })}
        />
        <Choice
          label={trans.__('Which sizes')}
          title={trans.__(
            'By the parameters that have to be in memory: of a mixture of experts, all of them'
          )}
          values={SIZES}
          value={filter.size}
          words={size => sizeWords(size, app)}
          onChange={size => onFilter({ ...filter, size })}
        />
        <Choice
          label={trans.__('Which roles')}
          values={rolesOf(models, filter.role)}
          value={filter.role}
          words={role => roleWords(role, app)}
          onChange={role => onFilter({ ...filter, role })}
        />
      </div>
    </>
  );
}

interface IChoiceProps<T extends string> {
  readonly label: string;
  readonly title?: string;
  readonly values: ReadonlyArray<T>;
  readonly value: T;
  readonly words: (value: T) => string;
  readonly onChange: (value: T) => void;
}

function Choice<T extends string>(props: IChoiceProps<T>): JSX.Element {
  const { label, title, values, value, words, onChange } = props;
  return (
    <select
      className="jp-mod-styled"
      value={value}
      aria-label={label}
      title={title}
      onChange={event => onChange(values.find(each => each === event.target.value) ?? value)}
    >
      {values.map(each => (
        <option key={each} value={each}>
          {words(each)}
        </option>
      ))}
    </select>
  );
}

interface IShownProps {
  readonly shown: number;
  readonly whole: number;
  readonly onClear: () => void;
}

/** How many models a choice leaves, for those who do not see the list shrink; and the way back. */
export function ShownCount({ shown, whole, onClear }: IShownProps): JSX.Element {
  const { trans } = useApp();
  return (
    <div className="jp-Qwen3ft-shown">
      <span role="status">{trans.__('%1 of %2 models', shown, whole)}</span>
      <ActionButton
        icon={closeIcon}
        label={trans.__('Clear')}
        description={trans.__('Clear the filters: show every model')}
        onClick={onClear}
      />
    </div>
  );
}

interface INoneProps {
  readonly models: ReadonlyArray<IModel>;
  readonly filter: IFilter;
  /** How many the words hide; null where there are none. */
  readonly hiddenByWords: number | null;
  readonly query: string;
  readonly onClear: (part: Part | 'words') => void;
}

/** Which filter hides how many, each with a way to clear it. */
export function Hiding({ models, filter, hiddenByWords, query, onClear }: INoneProps): JSX.Element {
  const app = useApp();
  const machine = useStore(({ snapshot }) => snapshot.machine);
  const { trans } = app;
  const parts: ReadonlyArray<{ part: Part | 'words'; words: string; count: number }> = [
    ...(hiddenByWords === null ? [] : [{ part: 'words' as const, words: query, count: hiddenByWords }]),
    ...hidden(models, filter, machine).map(each => ({ ...each, words: partWords(each.part, filter, app) }))
  ];
  return (
    <ul className="jp-Qwen3ft-hiding" aria-label={trans.__('What hides them')}>
      {parts.map(({ part, words, count }) => (
        <li key={part}>
          <span>{trans._n('“%2” hides %1 model', '“%2” hides %1 models', count, words)}</span>
          <ActionButton
            label={trans.__('Clear')}
            description={trans.__('Clear: %1', words)}
            onClick={() => onClear(part)}
          />
        </li>
      ))}
    </ul>
  );
}

/** Whether anything is chosen. */
export function isNarrowed(filter: IFilter): boolean {
  return activeParts(filter).length > 0;
}

function partWords(part: Part, filter: IFilter, language: ILanguage): string {
  return part === 'kind'
    ? kindWords(filter.kind, language)
    : part === 'size'
      ? sizeWords(filter.size, language)
      : roleWords(filter.role, language);
}

function kindWords(kind: Kind, { trans }: ILanguage): string {
  const words: Record<Kind, string> = {
    all: trans.__('All models'),
    fits: trans.__('That fit here'),
    cached: trans.__('Cached')
  };
  return words[kind];
}

function sizeWords(size: Size, { trans }: ILanguage): string {
  return size === 'all'
    ? trans.__('Any size')
    : size === 'more'
      ? trans.__('Over 14B')
      : trans.__('Up to %1B', size);
}

function roleWords(role: Role, { trans }: ILanguage): string {
  const words: Record<Role, string> = {
    all: trans.__('Any role'),
    hybrid: trans.__('Thinks on demand'),
    instruct: trans.__('Instruct'),
    thinking: trans.__('Thinking'),
    base: trans.__('Base'),
    coder: trans.__('Coder'),
    embedding: trans.__('Embedding'),
    reranker: trans.__('Reranker'),
    vision: trans.__('Vision'),
    guard: trans.__('Guard'),
    other: trans.__('Other')
  };
  return words[role];
}
