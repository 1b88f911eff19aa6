import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ICached } from '../api/answers';
import { maintenanceOf } from '../domain/jobs';
import { ActionButton } from './button';
import { useApp, usePending, useStore } from './context';

/** The button that mends a damaged model. */
export function RepairButton({ entry }: { readonly entry: ICached }): JSX.Element {
  const { store, trans } = useApp();
  const isAsked = usePending(entry.slug);
  const isUnderWay = useStore(each => maintenanceOf(each.jobsOf(entry.model_name), entry) !== null);
  return (
    <ActionButton
      icon={refreshIcon}
      label={trans.__('Repair')}
      description={trans.__('Repair %1: fetch only what is damaged', entry.model_name)}
      isBusy={isAsked || isUnderWay}
      onClick={() => void store.actions.act(entry.slug, client => client.repair(entry.slug))}
    />
  );
}
