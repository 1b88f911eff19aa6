import { Dialog } from '@jupyterlab/apputils';
import type { ReactElement } from 'react';

/** What a dialog shows. */
export interface IDialogContent {
  readonly title: string;
  readonly body: string | ReactElement;
  readonly buttons: ReadonlyArray<Dialog.IButton>;
  /** The button that has the focus, the last one by default. */
  readonly defaultButton?: number;
}

/** Show a dialog; tell whether it was accepted. */
export async function isAccepted(content: IDialogContent): Promise<boolean> {
  const dialog = new Dialog(content);
  // JupyterLab names a dialog for screen readers only where its body is a text.
  dialog.node.ariaLabel ??= content.title;
  const answer = await dialog.launch();
  return answer.button.accept;
}
