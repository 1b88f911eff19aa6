import { downloadIcon, searchIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IModel } from '../api/answers';
import { ActionButton } from '../components/button';
import { useApp, usePending, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { LongList } from '../components/long';
import { mayFit } from '../domain/fit';
import { inOrder, isPractice } from '../domain/models';
import { ModelRow, PlanButton } from './model';
import { NewsLine } from './updates';

/** A repo id as hubs write it; the server says more exactly what is wrong with one. */
const REPO_ID = /^[\w.-]+\/[\w.-]+$/;

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
  const shown = inOrder(models, isHubUnreachable)
    .filter(each => each.catalogued || isPractice(each) || showUncatalogued)
    .filter(each => kind !== 'cached' || each.cached)
    .filter(each => kind !== 'fits' || mayFit(each, machine))
    .filter(each => matches(each, query));
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
      {shown.length > 0 && (
        <LongList
          label={trans.__('Models')}
          items={shown}
          row={each => <ModelRow key={each.model_name} entry={each} />}
        />
      )}
      {shown.length === 0 && <Empty query={query.trim()} isNarrowed={kind !== 'all'} />}
      <OtherModel />
    </FocusKeeper>
  );
}

/** Nothing to list: no answer yet, or nothing that matches the filter. */
function Empty({ query, isNarrowed }: { readonly query: string; readonly isNarrowed: boolean }): JSX.Element {
  const { store, trans } = useApp();
  const isAsked = useStore(({ snapshot }) => snapshot.status !== null);
  const isPending = usePending(query);
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
      {REPO_ID.test(query) && (
        <ActionButton
          icon={downloadIcon}
          look="primary"
          label={trans.__('Download %1', query)}
          isBusy={isPending}
          onClick={() => void store.actions.download(query)}
        />
      )}
    </div>
  );
}

/** Any other model of the hub, by its name there. */
function OtherModel(): JSX.Element {
  const { store, trans } = useApp();
  const [name, setName] = React.useState('');
  const [isRefused, setRefused] = React.useState(false);
  const id = React.useId();
  const refusal = React.useRef<HTMLDivElement>(null);
  // It may be below what the section shows.
  React.useEffect(() => {
    if (isRefused) {
      refusal.current?.scrollIntoView({ block: 'nearest' });
    }
  }, [isRefused]);
  const repoId = name.trim();
  const isName = REPO_ID.test(repoId);
  const submit = async () => {
    setRefused(!isName);
    if (isName && (await store.actions.download(repoId))) {
      setName('');
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
          value={name}
          placeholder={trans.__('owner/name')}
          spellCheck={false}
          autoComplete="off"
          aria-invalid={isRefused || undefined}
          aria-describedby={isRefused ? `${id}-refusal` : undefined}
          onChange={event => {
            setName(event.target.value);
            setRefused(false);
          }}
        />
        <PlanButton modelName={repoId} isDisabled={!isName} />
        <ActionButton
          icon={downloadIcon}
          label={trans.__('Download')}
          description={trans.__('Download the model named here')}
          isSubmit
          isBusy={usePending(repoId)}
        />
      </div>
      <div ref={refusal} id={`${id}-refusal`} role="alert" className="jp-Qwen3ft-refusal">
        {isRefused &&
          (repoId === ''
            ? trans.__('Write a name first: owner/name, for example Qwen/Qwen3-0.6B.')
            : trans.__('“%1” is no model’s name. Write owner/name, for example Qwen/Qwen3-0.6B.', repoId))}
      </div>
    </form>
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
