import { searchIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IModel } from '../api/answers';
import { useApp, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { LongList } from '../components/long';
import { mayFit } from '../domain/fit';
import { isParticular } from '../domain/named';
import { inOrder, isPractice } from '../domain/models';
import { ModelRow } from './model';
import type { IMeaning } from './other';
import { Meant, OtherModel, useMeaning } from './other';
import { NewsLine } from './updates';

const KINDS = ['all', 'fits', 'cached'] as const;

/** Which models are listed. */
type Kind = (typeof KINDS)[number];

/** The section that lists the models one can have. */
export function Models(): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const [query, setQuery] = React.useState('');
  const [kind, setKind] = React.useState<Kind>('all');
  const machine = useStore(({ snapshot }) => snapshot.machine);
  React.useEffect(() => {
    void app.store.askMachine();
    void app.store.actions.updates.load();
  }, [app]);
  const models = useStore(({ snapshot }) => snapshot.models);
  const isHubUnreachable = useStore(store => store.isHubUnreachable);
  const showUncatalogued = useStore(store => store.showUncatalogued);
  const meaning = useMeaning(query.trim());
  const shown = inOrder(models, isHubUnreachable)
    .filter(each => each.catalogued || isPractice(each) || showUncatalogued)
    .filter(each => kind !== 'cached' || each.cached)
    .filter(each => kind !== 'fits' || mayFit(each, machine))
    .filter(each => matches(each, query) || each.model_name === meaning.named?.model_name);
  return (
    <FocusKeeper>
      <div className="jp-Qwen3ft-search">
        <searchIcon.react tag="span" className="jp-Qwen3ft-searchIcon" aria-hidden="true" />
        <input
          type="search"
          className="jp-mod-styled"
          value={query}
          placeholder={trans.__('Filter models')}
          aria-label={trans.__('Filter models')}
          onChange={event => setQuery(event.target.value)}
        />
        <select
          className="jp-mod-styled"
          value={kind}
          aria-label={trans.__('Which models')}
          onChange={event => setKind(KINDS.find(each => each === event.target.value) ?? 'all')}
        >
          <option value="all">{trans.__('All')}</option>
          <option value="fits">{trans.__('That fit here')}</option>
          <option value="cached">{trans.__('Cached')}</option>
        </select>
      </div>
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
      {shown.length === 0 && <Empty query={query.trim()} isNarrowed={kind !== 'all'} meaning={meaning} />}
      <OtherModel />
    </FocusKeeper>
  );
}

interface IEmptyProps {
  readonly query: string;
  readonly isNarrowed: boolean;
  readonly meaning: IMeaning;
}

/** Nothing to list: no answer yet, or nothing that matches the filter. */
function Empty({ query, isNarrowed, meaning }: IEmptyProps): JSX.Element {
  const { trans } = useApp();
  const isAsked = useStore(({ snapshot }) => snapshot.status !== null);
  if (query === '' && isNarrowed) {
    return (
      <p className="jp-Qwen3ft-empty">{trans.__('No model is like that. Choose “All” to see every one.')}</p>
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
