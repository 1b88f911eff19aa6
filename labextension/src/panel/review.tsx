import { Dialog } from '@jupyterlab/apputils';
import * as React from 'react';

import type { IDownloadOptions } from '../api/client';
import type { PanelModel } from '../state/store';
import { isAccepted } from '../components/dialog';
import type { ILanguage } from '../domain/words';
import type { IDownloadPlan } from '../api/plan';
import { hasRoom, isUpToDate } from '../domain/plan';
import { PlanView } from './plan';

/** Show what a download would do, and start it if that is wanted. Where it cannot be told the panel says why. */
export async function reviewDownload(
  model: PanelModel,
  modelName: string,
  options: IDownloadOptions,
  language: ILanguage
): Promise<void> {
  const plan = await model.plan(modelName, options);
  if (plan === null) {
    return;
  }
  const { trans } = language;
  const isPossible = !isUpToDate(plan) && hasRoom(plan);
  const action = options.update ? trans.__('Update') : trans.__('Download');
  const isWanted = await isAccepted({
    title: titleOf(plan, modelName, options, language),
    body: <PlanView plan={plan} language={language} />,
    buttons: isPossible
      ? [Dialog.cancelButton({ label: trans.__('Cancel') }), Dialog.okButton({ label: action })]
      : [Dialog.cancelButton({ label: trans.__('Close') })]
  });
  if (isWanted) {
    await model.download(modelName, options);
  }
}

function titleOf(
  plan: IDownloadPlan,
  modelName: string,
  options: IDownloadOptions,
  { trans }: ILanguage
): string {
  if (isUpToDate(plan)) {
    return trans.__('%1 is up to date', modelName);
  }
  return options.update ? trans.__('Update %1', modelName) : trans.__('Download %1', modelName);
}
