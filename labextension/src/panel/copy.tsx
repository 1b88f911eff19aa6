import { deleteIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ICached, IJob } from '../api/answers';
import { Badge, VerifiedBadge } from '../components/badge';
import { ActionButton } from '../components/button';
import type { IApp } from '../components/context';
import { useApp, usePending, useStore } from '../components/context';
import { pinIcon } from '../components/icons';
import type { IMenuItem } from '../components/menu';
import { MenuButton } from '../components/menu';
import { RunningJob } from '../components/progress';
import { RepairButton } from '../components/repair';
import { isHere } from '../domain/cache';
import { formatAgo, formatBytes } from '../domain/format';
import { damageFound, damageJobOf, isBeside, maintenanceOf } from '../domain/jobs';
import type { ILanguage } from '../domain/language';
import { originName, revisionWords } from '../domain/names';
import { deleteCopy } from './delete';
import { placeItem } from './place';
import { UpdateButton } from './updates';
import { reviewDownload } from '../components/review';

interface ICopyProps {
  readonly entry: ICached;
  /** What names the copy. */
  readonly head: React.ReactNode;
  /** Whether `head` names its revision or owner, because there are other copies of the same model. */
  readonly isOneOfMany: boolean;
  /** Further actions. */
  readonly children?: React.ReactNode;
}

/** One copy of a model: its facts, what is known of its bytes, and what can be done with it. */
export function Copy(props: ICopyProps): JSX.Element {
  const { entry, head, isOneOfMany, children } = props;
  const app = useApp();
  const { store, trans } = app;
  const maintenance = useStore(each => maintenanceOf(each.jobsOf(entry.model_name), entry));
  const damaged = useStore(each => damageJobOf(each.jobsOf(entry.model_name), entry));
  const isChecking = usePending(entry.model_name);
  return (
    <div className="jp-Qwen3ft-copy">
      <div className="jp-Qwen3ft-rowHead">
        {head}
        <Tools {...props} />
      </div>
      <div className="jp-Qwen3ft-meta" title={isHere(entry) ? entry.path : undefined}>
        {facts(entry, isOneOfMany, app).join(' · ')}
      </div>
      {!isHere(entry) && (
        <div className="jp-Qwen3ft-meta jp-Qwen3ft-path" title={entry.path}>
          <bdi>{entry.path}</bdi>
        </div>
      )}
      <Badges {...props} damaged={damaged} />
      {maintenance && <RunningJob job={maintenance} />}
      <div className="jp-Qwen3ft-actions">
        {children}
        {damaged && <RepairButton entry={entry} />}
        {!entry.verified && entry.owner === 'qwen3ft' && (
          <ActionButton
            label={trans.__('Check')}
            description={trans.__(
              'Check %1: compare with the hub and fetch what is missing',
              entry.model_name
            )}
            isBusy={isChecking}
            onClick={() => void store.actions.download(entry.model_name)}
          />
        )}
      </div>
    </div>
  );
}

/** What names one copy among others of the same model. */
export function copyWords(entry: ICached): string {
  const owner = entry.owner === 'qwen3ft' ? '' : entry.owner_words;
  const words = [owner, revisionWords(entry.revision, entry.commit)].filter(word => word !== '');
  return words.join(' · ') || entry.owner_words;
}

/** The small buttons at the end of the first line. */
function Tools({ entry, isOneOfMany }: ICopyProps): JSX.Element {
  const app = useApp();
  const { actions } = app.store;
  const { trans } = app;
  const isPending = usePending(entry.slug);
  const isMenuPending = usePending(entry.slug, entry.model_name);
  const isOurs = entry.owner === 'qwen3ft';
  const name = isOneOfMany ? `${entry.model_name} (${copyWords(entry)})` : entry.model_name;
  const items = menuItems(entry, app);
  return (
    <span className="jp-Qwen3ft-tools">
      {isOurs && entry.verified && (
        <ActionButton
          icon={pinIcon}
          isIconOnly
          label={trans.__('Pin')}
          description={trans.__('Pin %1: it stays when room is made', name)}
          isPressed={entry.pinned}
          isBusy={isPending}
          onClick={() => void actions.act(entry.slug, client => client.pin(entry.slug, !entry.pinned))}
        />
      )}
      {items.length > 0 && (
        <MenuButton label={trans.__('More for %1', name)} isIconOnly isBusy={isMenuPending} items={items} />
      )}
      {entry.owner !== 'shared' && (
        <ActionButton
          icon={deleteIcon}
          isIconOnly
          label={trans.__('Delete')}
          description={
            isOurs
              ? trans.__('Delete %1 from the cache', name)
              : trans.__('Delete %1: another tool’s files', name)
          }
          look="danger"
          isBusy={isPending}
          onClick={() => void deleteCopy(app, entry, isOneOfMany)}
        />
      )}
    </span>
  );
}

/** What is done seldom; what nobody has checked yet is checked first. */
function menuItems(entry: ICached, app: IApp): ReadonlyArray<IMenuItem> {
  const { actions } = app.store;
  const { trans } = app;
  const inPlace = {
    label: trans.__('Use it where it is, without copying'),
    onClick: () => void actions.download(entry.model_name, { in_place: true })
  };
  const revision = isBeside(entry) ? { revision: entry.revision } : {};
  const update = {
    label: trans.__('Check for update…'),
    onClick: () => void reviewDownload(app, entry.model_name, { ...revision, update: true })
  };
  const verify = {
    label: trans.__('Verify: read every byte again'),
    onClick: () => void actions.act(entry.slug, client => client.verify(entry.slug))
  };
  const place = placeItem(entry, app);
  const ours = !entry.verified || entry.shared ? [] : isFixed(entry) ? [verify] : [update, verify];
  const theirs = entry.verified ? [] : [inPlace];
  return [...(isHere(entry) ? ours : theirs), ...(place === null ? [] : [place])];
}

/** Whether the revision is a commit, which never changes. */
function isFixed(entry: ICached): boolean {
  return entry.revision !== '' && entry.commit.startsWith(entry.revision);
}

type BadgesProps = ICopyProps & { readonly damaged: IJob | null };

function Badges({ entry, isOneOfMany, damaged }: BadgesProps): JSX.Element {
  const { trans } = useApp();
  return (
    <div className="jp-Qwen3ft-badges">
      <UpdateButton copy={entry} />
      {damaged ? (
        <Badge look="error" title={damageFound(damaged).join(', ')}>
          {trans.__('Damaged')}
        </Badge>
      ) : (
        (isHere(entry) || entry.verified) && (
          <VerifiedBadge
            isVerified={entry.verified}
            word={trans.__('Verified')}
            title={trans.__('Every file has the digest that the hub published')}
            doubt={trans.__('Not checked yet; it will be when it is used')}
          />
        )
      )}
      {entry.pinned && <Badge title={trans.__('Kept when room is made')}>{trans.__('Pinned')}</Badge>}
      {entry.owner === 'shared' && (
        <Badge title={trans.__('In a shared folder that is read, never changed')}>{trans.__('Shared')}</Badge>
      )}
      {!isHere(entry) && !isOneOfMany && <Badge>{entry.owner_words}</Badge>}
    </div>
  );
}

function facts(entry: ICached, isOneOfMany: boolean, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const now = Date.now() / 1000;
  return [
    formatBytes(entry.size, locale),
    isHere(entry) ? originName(entry.model_name, entry.hub, trans) : '',
    isOneOfMany ? '' : revisionWords(entry.revision, entry.commit),
    entry.last_used === null ? '' : trans.__('used %1', formatAgo(entry.last_used, now, locale))
  ].filter(fact => fact !== '');
}
