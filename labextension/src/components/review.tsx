import { Dialog } from '@jupyterlab/apputils';
import * as React from 'react';

import type { IDownloadOptions } from '../api/client';
import type { IApp } from './context';
import { inApp } from './context';
import { isAccepted } from './dialog';
import { hasRoom, isUpToDate } from '../domain/plan';
import { PlanView } from './plan';

/** Show what a download would do, and start it if that is wanted. Where it cannot be told the panel says why. */
export async function reviewDownload(app: IApp, modelName: string, options: IDownloadOptions): Promise<void> {
  const { actions } = app.store;
  const { trans } = app;
  const plan = await actions.plan(modelName, options);
  if (plan === null) {
    return;
  }
  const isPossible = !isUpToDate(plan) && hasRoom(plan);
  const action = options.update ? trans.__('Update') : trans.__('Download');
  const title = options.update ? trans.__('Update %1', modelName) : trans.__('Download %1', modelName);
  const isWanted = await isAccepted({
    title: isUpToDate(plan) ? trans.__('%1 is up to date', modelName) : title,
    body: inApp(app, <PlanView plan={plan} />),
    buttons: isPossible
      ? [Dialog.cancelButton({ label: trans.__('Cancel') }), Dialog.okButton({ label: action })]
      : [Dialog.cancelButton({ label: trans.__('Close') })]
  });
  if (isWanted) {
    await actions.download(modelName, options);
  }
}
