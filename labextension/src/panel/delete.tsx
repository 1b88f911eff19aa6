import { Notification } from '@jupyterlab/apputils';
import * as React from 'react';

import type { ICached } from '../api/answers';
import type { IKept } from '../api/cache';
import type { IApp } from '../components/context';
import { confirmLoss } from '../components/dialog';
import { formatBytes } from '../domain/format';
import type { ILanguage } from '../domain/language';
import { revisionWords } from '../domain/names';

/** Delete a copy of a model, once somebody who knows whose it is has said so. */
export async function deleteCopy(app: IApp, entry: ICached, isOneOfMany: boolean): Promise<void> {
  const isSure = await (entry.owner === 'qwen3ft'
    ? confirmOurs(entry, app, isOneOfMany)
    : confirmTheirs(entry, app));
  if (isSure) {
    tellOfKept(await app.store.actions.evict(entry), app);
  }
}

/** Tell of files that lay beside a deleted model and were kept, and of models that stay. */
export function tellOfKept(kept: IKept | null, { trans }: ILanguage): void {
  const names = kept?.left.join(', ') ?? '';
  const words =
    names === '' ? '' : trans.__('Kept, because no model that was deleted has these files: %1', names);
  for (const each of [...(kept?.kept ?? []), words].filter(text => text !== '')) {
    Notification.info(each, { autoClose: false });
  }
}

async function confirmOurs(entry: ICached, language: ILanguage, isOneOfMany: boolean): Promise<boolean> {
  const { trans, locale } = language;
  const size = formatBytes(entry.size, locale);
  const name = isOneOfMany
    ? `${entry.model_name} (${revisionWords(entry.revision, entry.commit)})`
    : entry.model_name;
  return confirmLoss({
    title: trans.__('Delete %1 from the cache?', name),
    body: isOneOfMany
      ? trans.__('This frees at most %1: files that another revision has too stay.', size)
      : trans.__('This frees %1. The model can be downloaded again.', size),
    action: trans.__('Delete'),
    cancel: trans.__('Cancel')
  });
}

async function confirmTheirs(entry: ICached, { trans, locale }: ILanguage): Promise<boolean> {
  const owner = entry.owner_words;
  const isFolder = entry.owner === 'folder';
  return confirmLoss({
    title: isFolder
      ? trans.__('Delete the files of %1 from their folder?', entry.model_name)
      : trans.__('Delete the files of %1 from the %2?', entry.model_name, owner),
    body: (
      <div className="jp-Qwen3ft-theirs">
        <p>
          {isFolder
            ? trans.__(
                'These files are not this cache’s. Somebody put them there, and they may be the only copy.'
              )
            : trans.__(
                'These files are not this cache’s. They belong to the %1, and programs that use it will miss them.',
                owner
              )}
        </p>
        <p>
          <code>{entry.path}</code>
        </p>
        <p>{trans.__('This frees %1.', formatBytes(entry.size, locale))}</p>
      </div>
    ),
    action: trans.__('Delete these files'),
    cancel: trans.__('Cancel')
  });
}
