import * as React from 'react';

import type { IModel } from '../api/answers';
import { useApp, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { LongList } from '../components/long';
import type { IFilter } from '../domain/filters';
import { filtered, NO_FILTER } from '../domain/filters';
import { isParticular } from '../domain/named';
import { inOrder, isPractice } from '../domain/models';
import { Filters, Hiding, isNarrowed, ShownCount } from './filters';
import { ModelRow } from './model';
import type { IMeaning } from './other';
import { Meant, OtherModel, useMeaning } from './other';
import { NewsLine } from './updates';

interface IModelsProps {
  /** What is chosen at first. */
  readonly first: IFilter;
  /** Is told of another choice. */
  readonly keep: (filter: IFilter) => void;
}

/** The section that lists the models one can have. */
export function Models({ first, keep }: IModelsProps): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const [query, setQuery] = React.useState('');
  const [filter, setFilter] = React.useState(first);
  const machine = useStore(({ snapshot }) => snapshot.machine);
  React.useEffect(() => {
    void app.store.askMachine();
    void app.store.actions.updates.load();
  }, [app]);
  const models = useStore(({ snapshot }) => snapshot.models);
  const isHubUnreachable = useStore(store => store.isHubUnreachable);
  const showUncatalogued = useStore(store => store.showUncatalogued);
  const meaning = useMeaning(query.trim());
  const choose = (chosen: IFilter): void => {
    setFilter(chosen);
    keep(chosen);
  };
  const clear = (): void => {
    choose(NO_FILTER);
    setQuery('');
  };
  const all = inOrder(models, isHubUnreachable).filter(
    each => each.catalogued || isPractice(each) || showUncatalogued
  );
  const worded = all.filter(each => matches(each, query) || each.model_name === meaning.named?.model_name);
  const shown = filtered(worded, filter, machine);
  return (
    <FocusKeeper>
      <Filters query={query} onQuery={setQuery} filter={filter} onFilter={choose} models={all} />
      {isNarrowed(filter) && all.length > 0 && (
        <ShownCount shown={shown.length} whole={all.length} onClear={clear} />
      )}
      <NewsLine />
      {shown.length > 0 && meaning.named !== null && isParticular(meaning.named) && (
        <Meant meaning={meaning} />
      )}
      {shown.length > 0 && (
        <LongList
          label={trans.__('Models')}
          items={shown}
          row={each => <ModelRow key={each.model_name} entry={each} />}
        />
      )}
      {shown.length === 0 && (
        <Empty query={query.trim()} isNarrowed={isNarrowed(filter) && all.length > 0} meaning={meaning}>
          <Hiding
            models={all}
            filter={filter}
            query={query.trim()}
            hiddenByWords={query.trim() === '' ? null : all.length - worded.length}
            onClear={part => (part === 'words' ? setQuery('') : choose({ ...filter, [part]: 'all' }))}
          />
        </Empty>
      )}
      <OtherModel />
    </FocusKeeper>
  );
}

interface IEmptyProps {
  readonly query: string;
  readonly isNarrowed: boolean;
  readonly meaning: IMeaning;
  /** What hides all there is. */
  readonly children: React.ReactNode;
}

/** Nothing to list: no answer yet, or nothing that matches the filter. */
function Empty({ query, isNarrowed, meaning, children }: IEmptyProps): JSX.Element {
  const { trans } = useApp();
  const isAsked = useStore(({ snapshot }) => snapshot.status !== null);
  if (isNarrowed) {
    return (
      <div className="jp-Qwen3ft-empty">
        <p>{trans.__('No model is like that.')}</p>
        {children}
        {query !== '' && <Meant meaning={meaning} />}
      </div>
    );
  }
  if (query === '') {
    return (
      <p className="jp-Qwen3ft-empty">
        {isAsked ? trans.__('The catalogue is empty.') : trans.__('Asking the server…')}
      </p>
    );
  }
  return (
    <div className="jp-Qwen3ft-empty">
      <p>{trans.__('No model here matches “%1”.', query)}</p>
      <Meant meaning={meaning} />
    </div>
  );
}

/** Whether every word of the query is in the name or one of the badges. */
function matches(entry: IModel, query: string): boolean {
  const words = [entry.model_name, entry.badge, entry.role_words, entry.kind_words];
  const haystack = words.join(' ').toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every(word => haystack.includes(word));
}
