import { deleteIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatAgo, formatBytes } from '../domain/format';
import { pinIcon } from '../components/icons';
import { damageFound, damageJobOf, isBeside, tendingOf } from '../domain/jobs';
import { RunningJob } from '../components/running';
import type { PanelModel } from '../state/store';
import { Badge } from '../components/badge';
import { ActionButton } from '../components/button';
import { MenuButton } from '../components/menu';
import { RepairButton } from '../components/repair';
import { VerifiedBadge } from '../components/verified';
import { reviewDownload } from './review';
import type { ICached, IJob } from '../api/types';
import type { ILanguage } from '../domain/words';
import { hubName, ownerWord, revisionWords } from '../domain/words';
import { deleteCopy } from './delete';
import { isHere } from '../domain/cache';

/** One copy of a model: its facts, what is known of its bytes, and what can be done with it. */
export function Copy(props: Copy.IProps): JSX.Element {
  const { entry, model, language, head, isOneOfMany, children } = props;
  const { trans } = language;
  const { jobs } = model.snapshot;
  const tending = tendingOf(jobs, entry);
  const damaged = damageJobOf(jobs, entry);
  return (
    <div className="jp-Qwen3ft-copy">
      <div className="jp-Qwen3ft-rowHead">
        {head}
        <Tools {...props} />
      </div>
      <div className="jp-Qwen3ft-meta" title={isHere(entry) ? entry.path : undefined}>
        {facts(entry, isOneOfMany, language).join(' · ')}
      </div>
      {!isHere(entry) && (
        <div className="jp-Qwen3ft-meta jp-Qwen3ft-path" title={entry.path}>
          <bdi>{entry.path}</bdi>
        </div>
      )}
      <Badges {...props} damaged={damaged} />
      {tending && <RunningJob job={tending} model={model} language={language} />}
      <div className="jp-Qwen3ft-actions">
        {children}
        {damaged && <RepairButton entry={entry} model={model} language={language} />}
        {!entry.verified && entry.owner === 'qwen3ft' && (
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
    </div>
  );
}

/** A namespace for `Copy` statics. */
export namespace Copy {
  /** The properties of a copy. */
  export interface IProps {
    readonly entry: ICached;
    readonly model: PanelModel;
    readonly language: ILanguage;
    /** What names the copy. */
    readonly head: React.ReactNode;
    /** Whether `head` names its revision or owner, because there are other copies of the same model. */
    readonly isOneOfMany: boolean;
    /** Further actions. */
    readonly children?: React.ReactNode;
  }
}

/** What names one copy among others of the same model. */
export function copyWords(entry: ICached, { trans }: ILanguage): string {
  const owner = entry.owner === 'qwen3ft' ? '' : ownerWord(entry.owner, trans);
  const words = [owner, revisionWords(entry.revision, entry.commit)].filter(word => word !== '');
  return words.join(' · ') || ownerWord(entry.owner, trans);
}

/** The small buttons at the end of the first line. */
function Tools({ entry, model, language, isOneOfMany }: Copy.IProps): JSX.Element | null {
  const { trans } = language;
  if (entry.owner === 'shared') {
    return null;
  }
  const isOurs = entry.owner === 'qwen3ft';
  const name = isOneOfMany ? `${entry.model_name} (${copyWords(entry, language)})` : entry.model_name;
  const items = menuItems(entry, model, language);
  return (
    <span className="jp-Qwen3ft-tools">
      {isOurs && entry.verified && (
        <ActionButton
          icon={pinIcon}
          isIconOnly
          label={trans.__('Pin')}
          description={trans.__('Pin %1: it stays when room is made', name)}
          isPressed={entry.pinned}
          isBusy={model.isPending(entry.slug)}
          onClick={() => void model.pin(entry, !entry.pinned)}
        />
      )}
      {items.length > 0 && (
        <MenuButton
          label={trans.__('More for %1', name)}
          isIconOnly
          isBusy={model.isPending(entry.slug) || model.isPending(entry.model_name)}
          items={items}
        />
      )}
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
        isBusy={model.isPending(entry.slug)}
        onClick={() => void deleteCopy(entry, model, language, isOneOfMany)}
      />
    </span>
  );
}

/** What is done seldom; what nobody has checked yet is checked first. */
function menuItems(entry: ICached, model: PanelModel, language: ILanguage): MenuButton.IItem[] {
  const { trans } = language;
  const inPlace = {
    label: trans.__('Use it where it is, without copying'),
    onClick: () => void model.download(entry.model_name, { in_place: true })
  };
  const revision = isBeside(entry) ? { revision: entry.revision } : {};
  const update = {
    label: trans.__('Check for update…'),
    onClick: () => void reviewDownload(model, entry.model_name, { ...revision, update: true }, language)
  };
  const verify = {
    label: trans.__('Verify: read every byte again'),
    onClick: () => void model.verify(entry)
  };
  if (!isHere(entry)) {
    return entry.verified ? [] : [inPlace];
  }
  return !entry.verified ? [] : isFixed(entry) ? [verify] : [update, verify];
}

/** Whether the revision is a commit, which never changes. */
function isFixed(entry: ICached): boolean {
  return entry.revision !== '' && entry.commit.startsWith(entry.revision);
}

type BadgesProps = Copy.IProps & { readonly damaged: IJob | null };

function Badges({ entry, language, isOneOfMany, damaged }: BadgesProps): JSX.Element {
  const { trans } = language;
  return (
    <div className="jp-Qwen3ft-badges">
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
            language={language}
          />
        )
      )}
      {entry.pinned && <Badge title={trans.__('Kept when room is made')}>{trans.__('Pinned')}</Badge>}
      {entry.owner === 'shared' && (
        <Badge title={trans.__('In a shared folder that is read, never changed')}>{trans.__('Shared')}</Badge>
      )}
      {!isHere(entry) && !isOneOfMany && <Badge>{ownerWord(entry.owner, trans)}</Badge>}
    </div>
  );
}

function facts(entry: ICached, isOneOfMany: boolean, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const now = Date.now() / 1000;
  return [
    formatBytes(entry.size, locale),
    isHere(entry) ? hubName(entry.hub) : '',
    isOneOfMany ? '' : revisionWords(entry.revision, entry.commit),
    entry.last_used === null ? '' : trans.__('used %1', formatAgo(entry.last_used, now, locale))
  ].filter(fact => fact !== '');
}
