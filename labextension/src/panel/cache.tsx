import type { CommandRegistry } from '@lumino/commands';
import { addIcon, VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../state/store';
import { CellButtons } from './model';
import { ActionButton } from '../components/button';
import { FocusKeeper } from '../components/focus';
import { ModelName } from '../components/name';
import { PracticeButton } from '../components/practice';
import type { ILanguage } from '../domain/words';
import { Copy, copyWords } from './copy';
import type { IGroup } from '../domain/cache';
import { grouped, isHere } from '../domain/cache';
import { Summary } from './summary';

/** The section that lists what is on disk. */
export class CacheView extends VDomRenderer<PanelModel> {
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
    const { cache } = this.model.snapshot;
    const { trans } = this._language;
    if (cache === null) {
      return <p className="jp-Qwen3ft-empty">{trans.__('Asking the server…')}</p>;
    }
    const here = grouped(cache.models.filter(isHere));
    const elsewhere = grouped(cache.models.filter(each => !isHere(each)));
    const known = new Set(here.map(group => group.modelName));
    return (
      <FocusKeeper>
        {(here.length > 0 || cache.incoming > 0) && (
          <Summary cache={cache} model={this.model} language={this._language} />
        )}
        {here.length > 0 ? (
          <ul className="jp-Qwen3ft-list" aria-label={trans.__('Cache')}>
            {here.map(group => this._row(group, false))}
          </ul>
        ) : (
          <Empty model={this.model} language={this._language} isElsewhere={elsewhere.length > 0} />
        )}
        {elsewhere.length > 0 && (
          <>
            <h3 className="jp-Qwen3ft-heading">{trans.__('Also on this disk')}</h3>
            <ul className="jp-Qwen3ft-list" aria-label={trans.__('Also on this disk')}>
              {elsewhere.map(group => this._row(group, !known.has(group.modelName)))}
            </ul>
          </>
        )}
      </FocusKeeper>
    );
  }

  private _row(group: IGroup, canBring: boolean): JSX.Element {
    return (
      <GroupRow
        key={group.modelName}
        group={group}
        canBring={canBring}
        model={this.model}
        language={this._language}
        commands={this._commands}
      />
    );
  }
}

/** What to do when nothing is cached: also on a machine that reaches no hub. */
function Empty(props: { model: PanelModel; language: ILanguage; isElsewhere: boolean }): JSX.Element {
  const { model, language, isElsewhere } = props;
  const { trans } = language;
  return (
    <div className="jp-Qwen3ft-empty">
      <p>
        {isElsewhere
          ? trans.__('No model is in this cache yet. What other tools have on this disk is listed below.')
          : trans.__('No model is on this disk yet. Download one above; it will be here, ready to load.')}
      </p>
      <PracticeButton model={model} language={language} />
    </div>
  );
}

interface IGroupProps {
  readonly group: IGroup;
  /** Whether another tool has it and our cache has not. */
  readonly canBring: boolean;
  readonly model: PanelModel;
  readonly language: ILanguage;
  readonly commands: CommandRegistry;
}

/** A model and its copies; one copy needs no heading of its own. */
function GroupRow(props: IGroupProps): JSX.Element {
  const { group, model, language } = props;
  const [first] = group.copies;
  if (group.copies.length === 1) {
    return (
      <li className="jp-Qwen3ft-row">
        <Copy
          entry={first}
          model={model}
          language={language}
          head={<ModelName name={group.modelName} />}
          isOneOfMany={false}
        >
          <GroupButtons {...props} />
        </Copy>
      </li>
    );
  }
  return (
    <li className="jp-Qwen3ft-row">
      <ModelName name={group.modelName} />
      <ul className="jp-Qwen3ft-copies" aria-label={language.trans.__('Copies of %1', group.modelName)}>
        {group.copies.map(each => (
          // A shared folder may hold a model that our own has too.
          <li key={each.path || each.slug}>
            <Copy
              entry={each}
              model={model}
              language={language}
              head={<span className="jp-Qwen3ft-copyName">{copyWords(each, language)}</span>}
              isOneOfMany
            />
          </li>
        ))}
      </ul>
      <div className="jp-Qwen3ft-actions">
        <GroupButtons {...props} />
      </div>
    </li>
  );
}

/** What can be done with a model whichever of its copies is taken. */
function GroupButtons({ group, canBring, model, language, commands }: IGroupProps): JSX.Element {
  const { trans } = language;
  const { modelName } = group;
  return (
    <>
      <CellButtons modelName={modelName} commands={commands} language={language} />
      {canBring && (
        <ActionButton
          icon={addIcon}
          label={trans.__('Bring into this cache')}
          description={trans.__(
            'Bring into this cache: %1. What is right of it is taken from this disk, not downloaded',
            modelName
          )}
          isBusy={model.isDownloading(modelName)}
          onClick={() => void model.download(modelName)}
        />
      )}
    </>
  );
}
