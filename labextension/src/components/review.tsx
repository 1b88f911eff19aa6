import { Dialog } from '@jupyterlab/apputils';
import * as React from 'react';

import type { ICached } from '../api/answers';
import type { IDownloadOptions } from '../api/client';
import type { IApp } from './context';
import { inApp } from './context';
import { isAccepted } from './dialog';
import { hasRoom, isUpToDate } from '../domain/plan';
import { PlanView } from './plan';
import { inARow } from '../domain/words';

/** Show what a download would do, and start it if that is wanted. Where it cannot be told the panel says why. */
export async function reviewDownload(app: IApp, modelName: string, options: IDownloadOptions): Promise<void> {
  const { trans } = app;
  await review(app, modelName, options, {
    action: options.update ? trans.__('Update') : trans.__('Download'),
    title: options.update ? trans.__('Update %1', modelName) : trans.__('Download %1', modelName)
  });
}

/** The same of a model that another tool has on this disk: what is taken over from there, and what becomes of theirs. */
export async function reviewAdoption(app: IApp, name: string, copies: ReadonlyArray<ICached>): Promise<void> {
  const { trans } = app;
  const owners = [...new Set(copies.map(each => each.owner_words))];
  await review(
    app,
    name,
    {},
    {
      action: trans.__('Adopt'),
      title: trans.__('Adopt %1 into this cache', name),
      intro: inARow(
        copies.every(each => each.owner === 'folder')
          ? trans.__('It is copied from its folder into this cache.')
          : owners.length === 1
            ? trans.__('It is copied from the %1 into this cache.', owners[0])
            : trans.__('It is copied from where it lies on this disk into this cache.'),
        trans.__(
          'Each file is compared with what the hub lists; only what is missing there or differs is downloaded. The files there stay as they are: nothing of that room becomes free.'
        )
      )
    }
  );
}

interface IWords {
  readonly action: string;
  readonly title: string;
  /** What is to be known beside the plan. */
  readonly intro?: string;
}

async function review(app: IApp, name: string, options: IDownloadOptions, words: IWords): Promise<void> {
  const { actions } = app.store;
  const { trans } = app;
  const plan = await actions.plan(name, options);
  if (plan === null) {
    return;
  }
  const isPossible = !isUpToDate(plan) && hasRoom(plan);
  const isWanted = await isAccepted({
    title: isUpToDate(plan) ? trans.__('%1 is up to date', name) : words.title,
    body: inApp(
      app,
      <>
        {words.intro !== undefined && <p>{words.intro}</p>}
        <PlanView plan={plan} />
      </>
    ),
    buttons: isPossible
      ? [Dialog.cancelButton({ label: trans.__('Cancel') }), Dialog.okButton({ label: words.action })]
      : [Dialog.cancelButton({ label: trans.__('Close') })]
  });
  if (isWanted) {
    await actions.download(name, options);
  }
}
