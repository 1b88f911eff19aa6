import * as React from 'react';

import type { IAbsentData } from '../api/finetune';
import { Asking, useAsked } from '../components/asked';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { formatBytes } from '../domain/format';
import { asTold, comingAs, namesHub } from './arrivals';
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
  const coming = useStore(each => comingAs(each, name));
  const download = (whole: string): void => void store.actions.download(whole);
  // One that is named without its hub is that of the first hub that has it: only the hubs know which.
  const found = useAsked(signal => store.client.findDataset(name, signal));
  React.useEffect(() => {
    if (found.value !== null) {
      download(found.value.name);
    }
  }, [found.value]);
  return (
    <li>
      <span>
        {trans.__('Not on this disk yet:')} <bdi>{name}</bdi> {size !== null && formatBytes(size, locale)}
      </span>
      <ActionButton
        label={trans.__('Download')}
        description={trans.__('Download %1, to see it and to estimate with it', name)}
        isBusy={coming !== null || found.isBusy}
        onClick={() => (namesHub(name) ? download(name) : found.ask())}
      />
      <Asking asked={found} label={trans.__('Ask which hub has %1', name)} />
      <Downloading name={coming ?? found.value?.name ?? name} />
    </li>
  );
}
