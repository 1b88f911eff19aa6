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
  return (await launch(content)).button.accept;
}

/** Show a dialog with a box that may be ticked; tell whether it is, null where the dialog was not accepted. */
export async function acceptedWith(content: IDialogContent, label: string): Promise<boolean | null> {
  const { button, isChecked } = await launch({ ...content, checkbox: { label } });
  return button.accept ? isChecked === true : null;
}

function launch(content: Partial<Dialog.IOptions<unknown>>): Promise<Dialog.IResult<unknown>> {
  const dialog = new Dialog(content);
  // JupyterLab names a dialog for screen readers only where its body is a text.
  dialog.node.ariaLabel ??= typeof content.title === 'string' ? content.title : null;
  return dialog.launch();
}

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
