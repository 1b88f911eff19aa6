import type { CommandRegistry } from '@lumino/commands';
import { downloadIcon, searchIcon, VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../state/store';
import { ActionButton } from '../components/button';
import { FocusKeeper } from '../components/focus';
import type { IModel } from '../api/types';
import type { ILanguage } from '../domain/words';
import { kindWord, roleWord } from '../domain/words';
import { inOrder, isPractice } from '../domain/models';
import { ModelRow, PlanButton } from './model';

/** A repo id as hubs write it; the server says more exactly what is wrong with one. */
const REPO_ID = /^[\w.-]+\/[\w.-]+$/;

/** The section that lists the models one can have. */
export class ModelsView extends VDomRenderer<PanelModel> {
  /**
   * @param model - The state of the panel.
   * @param _language - The language of the interface.
   * @param _commands - Where the commands that write into notebooks are found.
   */
  constructor(
    model: PanelModel,
    private readonly _language: ILanguage,
    private readonly _commands: CommandRegistry
  ) {
    super(model);
    this.addClass('jp-Qwen3ft-section');
  }

  protected override render(): JSX.Element {
    return (
      <FocusKeeper>
        <Models model={this.model} language={this._language} commands={this._commands} />
      </FocusKeeper>
    );
  }
}

interface IProps {
  readonly model: PanelModel;
  readonly language: ILanguage;
  readonly commands: CommandRegistry;
}

function Models({ model, language, commands }: IProps): JSX.Element {
  const { trans } = language;
  const [query, setQuery] = React.useState('');
  const { snapshot } = model;
  const listed = inOrder(snapshot.models, model.isHubUnreachable).filter(
    each => each.catalogued || isPractice(each) || model.showUncatalogued
  );
  const shown = listed.filter(each => matches(each, query, language));
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
          onChange={event => setQuery(event.target.value)}
        />
      </div>
      {shown.length > 0 && (
        <ul className="jp-Qwen3ft-list" aria-label={trans.__('Models')}>
          {shown.map(each => (
            <ModelRow
              key={each.model_name}
              entry={each}
              model={model}
              language={language}
              commands={commands}
            />
          ))}
        </ul>
      )}
      {shown.length === 0 && <Empty query={query.trim()} model={model} language={language} />}
      <OtherModel model={model} language={language} />
    </>
  );
}

/** Nothing to list: no answer yet, or nothing that matches the filter. */
function Empty(props: { query: string; model: PanelModel; language: ILanguage }): JSX.Element {
  const { query, model, language } = props;
  const { trans } = language;
  if (query === '') {
    return (
      <p className="jp-Qwen3ft-empty">
        {model.snapshot.status === null
          ? trans.__('Asking the server…')
          : trans.__('The catalogue is empty.')}
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
          isBusy={model.isPending(query)}
          onClick={() => void model.download(query)}
        />
      )}
    </div>
  );
}

/** Any other model of the hub, by its name there. */
function OtherModel({ model, language }: { model: PanelModel; language: ILanguage }): JSX.Element {
  const { trans } = language;
  const [name, setName] = React.useState('');
  const id = React.useId();
  const repoId = name.trim();
  const submit = async () => {
    if (await model.download(repoId)) {
      setName('');
    }
  };
  return (
    <form
      className="jp-Qwen3ft-other"
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
          onChange={event => setName(event.target.value)}
        />
        <PlanButton modelName={repoId} model={model} language={language} isDisabled={!REPO_ID.test(repoId)} />
        <ActionButton
          icon={downloadIcon}
          label={trans.__('Download')}
          description={trans.__('Download the model named here')}
          isSubmit
          isBusy={model.isPending(repoId)}
          isDisabled={!REPO_ID.test(repoId)}
        />
      </div>
    </form>
  );
}

/** Whether every word of the query is in the name or one of the badges. */
function matches(entry: IModel, query: string, { trans }: ILanguage): boolean {
  const words = [entry.model_name, entry.badge, roleWord(entry.role, trans), kindWord(entry.kind, trans)];
  const haystack = words.join(' ').toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every(word => haystack.includes(word));
}
