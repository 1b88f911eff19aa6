import { bellIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ICached } from '../api/answers';
import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp, usePending, useStore } from '../components/context';
import { reviewDownload } from '../components/review';
import { formatAgo } from '../domain/format';
import { isBeside } from '../domain/jobs';
import { hubName, revisionWords } from '../domain/names';
import { checkedAt, updateOf } from '../domain/updates';

/** Asks the hubs whether they have newer commits of what is cached. */
export function CheckButton(): JSX.Element {
  const { store, trans } = useApp();
  const { updates } = store.actions;
  const isChecking = useStore(() => updates.isChecking);
  return (
    <ActionButton
      icon={isChecking ? stopIcon : bellIcon}
      isIconOnly
      label={isChecking ? trans.__('Stop checking for updates') : trans.__('Check for updates')}
      onClick={() => (isChecking ? updates.stop() : void updates.check())}
    />
  );
}

/** What came of the latest check, and when it was. */
export function NewsLine(): JSX.Element {
  const { store, trans, locale } = useApp();
  const { updates } = store.actions;
  const isChecking = useStore(() => updates.isChecking);
  const problem = useStore(() => updates.problem);
  const news = useStore(() => updates.news);
  const cache = useStore(({ snapshot }) => snapshot.cache);
  const checked = checkedAt(news);
  const count = (cache?.models ?? []).filter(copy => updateOf(news, copy) !== null).length;
  const words =
    checked === null
      ? ''
      : trans.__(
          'Checked for updates %1: %2',
          formatAgo(checked, Date.now() / 1000, locale),
          count === 0
            ? trans.__('nothing new')
            : trans._n('%1 model has an update', '%1 models have updates', count)
        );
  const failed = news.filter(each => each.problem !== '');
  return (
    <>
      <div className="jp-Qwen3ft-meta jp-Qwen3ft-news" role="status">
        {isChecking ? trans.__('Asking the hubs for updates…') : words}
      </div>
      {problem && <ProblemAlert problem={problem} onDismiss={() => updates.dismiss()} />}
      {!isChecking && failed.length > 0 && (
        <ul className="jp-Qwen3ft-notices" aria-label={trans.__('Not checked')}>
          {failed.map(each => (
            <li key={each.slug}>{trans.__('%1: %2', each.model_name, each.problem)}</li>
          ))}
        </ul>
      )}
    </>
  );
}

/** That a hub has a newer commit of a copy: shows first what an update would change. */
export function UpdateButton({ copy }: { readonly copy: ICached }): JSX.Element | null {
  const app = useApp();
  const { store, trans } = app;
  const update = useStore(() => updateOf(store.actions.updates.news, copy));
  const isBusy = usePending(copy.model_name);
  if (update === null) {
    return null;
  }
  const revision = isBeside(copy) ? { revision: copy.revision } : {};
  return (
    <ActionButton
      look="primary"
      label={trans.__('Update available')}
      description={trans.__(
        'Update available: %1 is at %2 on %3. See first what would change',
        copy.model_name,
        revisionWords('', update.latest),
        hubName(update.hub)
      )}
      isBusy={isBusy}
      onClick={() => void reviewDownload(app, copy.model_name, { ...revision, update: true })}
    />
  );
}
