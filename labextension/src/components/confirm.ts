import { Dialog } from '@jupyterlab/apputils';
import type { ReactElement } from 'react';

import { isAccepted } from './dialog';

/** What is asked, and the words on the buttons. */
export interface IQuestion {
  readonly title: string;
  readonly body: string | ReactElement;
  readonly action: string;
  readonly cancel: string;
}

/** Ask before something is lost; saying nothing keeps it. */
export async function confirmLoss({ title, body, action, cancel }: IQuestion): Promise<boolean> {
  return isAccepted({
    title,
    body,
    buttons: [Dialog.cancelButton({ label: cancel }), Dialog.warnButton({ label: action })],
    defaultButton: 0
  });
}
