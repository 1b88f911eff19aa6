import * as React from 'react';

import type { IAbsentData } from '../api/finetune';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { formatBytes } from '../domain/format';
import { asTold } from './arrivals';
import { useModel } from './context';
import { Downloading } from './downloading';
import type { FineTuneModel } from './model';

/** The data sets on a hub that a form names and that are not on this disk, as far as plan and preview know them. */
export function absentOf(model: FineTuneModel): ReadonlyArray<IAbsentData> {
  const told = [
    ...(model.isPreviewFresh ? (model.preview.value?.absent ?? []) : []),
    ...(model.isPlanFresh ? (model.plan.value?.absent ?? []) : [])
  ];
  return asTold(model.checked.value?.absent ?? [], told);
}

/** Data sets on a hub that are not on this disk: they may be of any size, so they are fetched on request. */
export function AbsentData(): JSX.Element | null {
  const { trans } = useApp();
  const absent = absentOf(useModel());
  return absent.length === 0 ? null : (
    <ul className="jp-Qwen3ft-dataFiles" aria-label={trans.__('Data that is not on this disk yet')}>
      {absent.map(each => (
        <Absent key={each.name} {...each} />
      ))}
    </ul>
  );
}

function Absent({ name, size }: IAbsentData): JSX.Element {
  const { store, trans, locale } = useApp();
  const isBusy = useStore(each => each.isDownloading(name));
  return (
    <li>
      <span>
        {trans.__('Not on this disk yet:')} <bdi>{name}</bdi> {size !== null && formatBytes(size, locale)}
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
