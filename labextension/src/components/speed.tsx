import { InputDialog } from '@jupyterlab/apputils';
import * as React from 'react';

import type { IControls, IJob } from '../api/answers';
import { formatLimit } from '../domain/format';
import type { ILanguage } from '../domain/language';
import { useApp, usePending } from './context';
import { MenuButton } from './menu';

const MB = 1e6;

/** Limits that leave room for others on common links, bytes a second. */
const LIMITS: ReadonlyArray<number> = [1, 2, 5, 10, 20, 50, 100].map(limit => limit * MB);

interface ISpeedProps {
  readonly job: IJob;
  readonly controls: IControls;
}

/** Chooses how fast a job may be; says how fast it may be now. */
export function SpeedLimit({ job, controls }: ISpeedProps): JSX.Element {
  const app = useApp();
  const { store, trans, locale } = app;
  const current = controls.max_speed;
  const words = (limit: number | null) =>
    limit === null ? trans.__('No speed limit') : trans.__('At most %1', formatLimit(limit, locale));
  const setLimit = (limit: number | null) =>
    store.actions.control(job, client => client.limit(job.id, limit));
  const limits = [...new Set(current === null ? LIMITS : [...LIMITS, current])].sort((a, b) => a - b);
  const askForAnother = async () => {
    const limit = await askLimit(current, app);
    if (limit !== undefined) {
      await setLimit(limit);
    }
  };
  return (
    <MenuButton
      label={words(current)}
      description={trans.__('%1: %2', words(current), job.title)}
      isBusy={usePending(job.id)}
      items={[
        ...[null, ...limits].map(limit => ({
          label: words(limit),
          isChosen: limit === current,
          onClick: () => void setLimit(limit)
        })),
        { label: trans.__('Another limit…'), onClick: () => void askForAnother() }
      ]}
    />
  );
}

/** Ask for a limit: bytes a second, null for none, undefined where the question was put aside. */
async function askLimit(
  current: number | null,
  { trans, locale }: ILanguage
): Promise<number | null | undefined> {
  // Not `getNumber`: that takes whole numbers only.
  const answer = await InputDialog.getText({
    title: trans.__('Speed limit'),
    label: trans.__('MB/s; 0 for no limit'),
    text: current === null ? '' : formatLimit(current, locale).split(' ')[0],
    pattern: '\\s*\\d+([.,]\\d+)?\\s*',
    required: true,
    okLabel: trans.__('Set'),
    cancelLabel: trans.__('Cancel')
  });
  const megabytes = Number(answer.value?.replace(',', '.'));
  if (!answer.button.accept || !(megabytes >= 0)) {
    return undefined;
  }
  return megabytes === 0 ? null : Math.max(1, Math.round(megabytes * MB));
}
