import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { formatBytes } from '../domain/format';
import { useModel } from './context';
import { Downloading } from './downloading';

/** Data sets on a hub that are not on this disk: they may be of any size, so they are fetched on request. */
export function AbsentData(): JSX.Element | null {
  const { trans } = useApp();
  const names = useModel().checked.value?.absent ?? [];
  return names.length === 0 ? null : (
    <ul className="jp-Qwen3ft-dataFiles" aria-label={trans.__('Data that is not on this disk yet')}>
      {names.map(name => (
        <Absent key={name} name={name} />
      ))}
    </ul>
  );
}

function Absent({ name }: { readonly name: string }): JSX.Element {
  const { store, trans, locale } = useApp();
  const model = useModel();
  const isBusy = useStore(each => each.isDownloading(name));
  const bytes = model.plan.value?.absent.find(each => each.name === name)?.size ?? null;
  return (
    <li>
      <span>
        {trans.__('Not on this disk yet:')} <bdi>{name}</bdi> {bytes !== null && formatBytes(bytes, locale)}
      </span>
      <ActionButton
        label={trans.__('Download')}
        description={trans.__('Download %1, to see it and to estimate with it', name)}
        isBusy={isBusy}
        onClick={() => void store.actions.download(name)}
      />
      <Downloading name={name} />
    </li>
  );
}
