import type { CommandRegistry } from '@lumino/commands';
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { checkIcon, deleteIcon, VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatAgo, formatBytes } from '../format';
import { PanelModel } from '../model';
import { CellButtons } from '../models/row';
import { Badge } from '../parts/badge';
import { ActionButton } from '../parts/button';
import { ModelName } from '../parts/name';
import { PracticeButton } from '../parts/practice';
import type { ICache, ICached } from '../types';
import type { ILanguage } from '../words';
import { hubName } from '../words';

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
    if (cache.models.length === 0) {
      return <Empty model={this.model} language={this._language} />;
    }
    return (
      <>
        <Summary cache={cache} model={this.model} language={this._language} />
        <ul className="jp-Qwen3ft-list" aria-label={trans.__('Cache')}>
          {cache.models.map(each => (
            <CachedRow
              // A shared folder may hold a model that our own has too.
              key={each.path || each.slug}
              entry={each}
              model={this.model}
              language={this._language}
              commands={this._commands}
            />
          ))}
        </ul>
      </>
    );
  }
}

/** What to do when nothing is cached: also on a machine that reaches no hub. */
function Empty({ model, language }: { model: PanelModel; language: ILanguage }): JSX.Element {
  const { trans } = language;
  return (
    <div className="jp-Qwen3ft-empty">
      <p>{trans.__('No model is on this disk yet. Download one above; it will be here, ready to load.')}</p>
      <PracticeButton model={model} language={language} />
    </div>
  );
}

function Summary(props: { cache: ICache; model: PanelModel; language: ILanguage }): JSX.Element {
  const { cache, model, language } = props;
  const { trans, locale } = language;
  const size = formatBytes(cache.total_size, locale);
  const count = cache.models.length;
  // As the server sees it: what nobody downloaded, pinned or shared is not swept away.
  const doomed = cache.models.filter(each => each.verified && !each.pinned && !each.shared);
  const freed = formatBytes(
    doomed.reduce((sum, each) => sum + each.size, 0),
    locale
  );
  const deleteAll = async () => {
    const isSure = await confirm(
      trans.__('Delete every model in the cache?'),
      [
        trans.__('This frees %1. What you fine-tuned is kept; models can be downloaded again.', freed),
        doomed.length < count ? trans.__('Pinned, shared and unverified models stay.') : ''
      ]
        .join(' ')
        .trim(),
      trans.__('Delete all'),
      trans.__('Cancel')
    );
    if (isSure) {
      await model.evictAll();
    }
  };
  return (
    <div className="jp-Qwen3ft-summary">
      <div>
        <div>{trans._n('%1 model, %2', '%1 models, %2', count, size)}</div>
        <div className="jp-Qwen3ft-meta jp-Qwen3ft-path" title={cache.cache_dir}>
          <bdi>{cache.cache_dir}</bdi>
        </div>
      </div>
      {doomed.length > 0 && (
        <ActionButton
          icon={deleteIcon}
          label={trans.__('Delete all')}
          description={trans.__('Delete all models in the cache')}
          look="danger"
          isBusy={model.isPending(PanelModel.WHOLE_CACHE)}
          onClick={() => void deleteAll()}
        />
      )}
    </div>
  );
}

interface IRowProps {
  readonly entry: ICached;
  readonly model: PanelModel;
  readonly language: ILanguage;
  readonly commands: CommandRegistry;
}

function CachedRow({ entry, model, language, commands }: IRowProps): JSX.Element {
  const { trans, locale } = language;
  const remove = async () => {
    const isSure = await confirm(
      trans.__('Delete %1 from the cache?', entry.model_name),
      trans.__('This frees %1. The model can be downloaded again.', formatBytes(entry.size, locale)),
      trans.__('Delete'),
      trans.__('Cancel')
    );
    if (isSure) {
      await model.evict(entry.slug);
    }
  };
  return (
    <li className="jp-Qwen3ft-row">
      <div className="jp-Qwen3ft-rowHead">
        <ModelName name={entry.model_name} />
        {!entry.shared && (
          <ActionButton
            icon={deleteIcon}
            isIconOnly
            label={trans.__('Delete')}
            description={trans.__('Delete %1 from the cache', entry.model_name)}
            look="danger"
            isBusy={model.isPending(entry.slug)}
            onClick={() => void remove()}
          />
        )}
      </div>
      <div className="jp-Qwen3ft-meta" title={entry.path}>
        {facts(entry, language).join(' · ')}
      </div>
      <div className="jp-Qwen3ft-badges">
        {entry.verified ? (
          <Badge
            look="success"
            icon={checkIcon}
            title={trans.__('Every file has the digest that the hub published')}
          >
            {trans.__('Verified')}
          </Badge>
        ) : (
          <Badge look="warning" title={trans.__('Not checked yet; it will be when it is used')}>
            {trans.__('Unverified')}
          </Badge>
        )}
        {entry.pinned && <Badge title={trans.__('Kept when room is made')}>{trans.__('Pinned')}</Badge>}
        {entry.shared && (
          <Badge title={trans.__('In a shared folder that is read, never changed')}>
            {trans.__('Shared')}
          </Badge>
        )}
      </div>
      <div className="jp-Qwen3ft-actions">
        <CellButtons modelName={entry.model_name} commands={commands} language={language} />
        {!entry.verified && !entry.shared && (
          <ActionButton
            label={trans.__('Check')}
            description={trans.__(
              'Check %1: compare with the hub and fetch what is missing',
              entry.model_name
            )}
            isBusy={model.isPending(entry.model_name)}
            onClick={() => void model.download(entry.model_name)}
          />
        )}
      </div>
    </li>
  );
}

function facts(entry: ICached, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const now = Date.now() / 1000;
  return [
    formatBytes(entry.size, locale),
    hubName(entry.hub),
    entry.last_used === null ? '' : trans.__('used %1', formatAgo(entry.last_used, now, locale))
  ].filter(fact => fact !== '');
}

/** Ask before something is lost. */
async function confirm(title: string, body: string, action: string, cancel: string): Promise<boolean> {
  const answer = await showDialog({
    title,
    body,
    buttons: [Dialog.cancelButton({ label: cancel }), Dialog.warnButton({ label: action })],
    defaultButton: 0
  });
  return answer.button.accept;
}
