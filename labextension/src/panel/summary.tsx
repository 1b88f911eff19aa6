import { deleteIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ICache, ICached } from '../api/answers';
import { StackBar } from '../components/bar';
import { ActionButton } from '../components/button';
import { useApp, usePending } from '../components/context';
import { confirmLoss } from '../components/dialog';
import { expendable, fillOf, isHere } from '../domain/cache';
import { formatBytes } from '../domain/format';
import type { ILanguage } from '../domain/language';
import { Actions } from '../state/actions';
import { tellOfKept } from './delete';
import { freeUpSpace } from './free';
import { Move } from './move';
import { inARow } from '../domain/words';

interface ICacheProps {
  readonly cache: ICache;
}

/** The whole cache: how much of what it may take is taken, where it is, and the button that empties it. */
export function Summary({ cache }: ICacheProps): JSX.Element {
  const app = useApp();
  const { store, trans, locale } = app;
  const isPending = usePending(Actions.WHOLE_CACHE);
  const here = cache.models.filter(isHere);
  const names = new Set(here.map(each => each.model_name));
  const { models } = fillOf(cache);
  const size = formatBytes(models + sizeOf(here.filter(each => each.owner === 'shared')), locale);
  // As the server sees it: what nobody downloaded, pinned or shared is not swept away.
  const doomed = here.filter(each => each.verified && !each.pinned && !each.shared);
  // What two revisions share is there once.
  const freed = formatBytes(Math.min(sizeOf(doomed), models), locale);
  const deleteAll = async () => {
    const body = [
      trans.__('This frees %1. What you fine-tuned is kept; models can be downloaded again.', freed),
      doomed.length < cache.models.length
        ? trans.__('Pinned, shared and unverified models and those of other tools stay.')
        : ''
    ];
    const isSure = await confirmLoss({
      title: trans.__('Delete every model in the cache?'),
      body: inARow(...body),
      action: trans.__('Delete all'),
      cancel: trans.__('Cancel')
    });
    if (isSure) {
      tellOfKept(await store.actions.evictAll(), app);
    }
  };
  return (
    <div className="jp-Qwen3ft-summary jp-mod-cache">
      {names.size > 0 && (
        <div className="jp-Qwen3ft-rowHead">
          <span>{trans._n('%1 model, %2', '%1 models, %2', names.size, size)}</span>
          {expendable(cache).length > 1 && (
            <ActionButton
              label={trans.__('Free up space…')}
              description={trans.__('Choose cached models to delete')}
              isBusy={isPending}
              onClick={() => void freeUpSpace(app, cache)}
            />
          )}
          {doomed.length > 0 && (
            <ActionButton
              icon={deleteIcon}
              label={trans.__('Delete all')}
              description={trans.__('Delete all models in the cache')}
              look="danger"
              isBusy={isPending}
              onClick={() => void deleteAll()}
            />
          )}
        </div>
      )}
      <Fill cache={cache} />
      <div className="jp-Qwen3ft-meta jp-Qwen3ft-path" title={cache.cache_dir}>
        <bdi>{cache.cache_dir}</bdi>
      </div>
      <Move cache={cache} />
    </div>
  );
}

/** How much of the quota, or of the volume, is used; nothing where neither is known. */
function Fill({ cache }: ICacheProps): JSX.Element | null {
  const app = useApp();
  const { trans } = app;
  const { models, incoming, whole } = fillOf(cache);
  if (whole === null) {
    return null;
  }
  const used = models + incoming;
  const isFull = cache.quota !== null && used > cache.quota;
  const words = fillWords(cache, used, incoming, app);
  return (
    <div
      role="meter"
      aria-label={cache.quota === null ? trans.__('Use of the volume') : trans.__('Use of the quota')}
      aria-valuemin={0}
      aria-valuemax={whole}
      aria-valuenow={Math.min(used, whole)}
      aria-valuetext={words}
    >
      <StackBar
        whole={whole}
        parts={[
          { size: models, look: isFull ? 'warning' : 'series0' },
          { size: incoming, look: 'incoming' }
        ]}
      />
      <div className="jp-Qwen3ft-meta">{words}</div>
    </div>
  );
}

function sizeOf(entries: ReadonlyArray<ICached>): number {
  return entries.reduce((sum, each) => sum + each.size, 0);
}

function fillWords(cache: ICache, used: number, incoming: number, { trans, locale }: ILanguage): string {
  const bytes = (value: number) => formatBytes(value, locale);
  const { quota, free } = cache;
  return [
    quota === null ? trans.__('%1 used', bytes(used)) : trans.__('%1 of %2 used', bytes(used), bytes(quota)),
    incoming > 0 ? trans.__('%1 of it incoming', bytes(incoming)) : '',
    free === null ? '' : trans.__('%1 free on the volume', bytes(free))
  ]
    .filter(part => part !== '')
    .join(' · ');
}
