import type { Widget } from '@lumino/widgets';
import * as React from 'react';

import { Alert } from './alert';
import { ActionButton } from './button';
import type { IApp } from './context';
import { appWidget, useApp } from './context';

interface INotLoadedProps {
  readonly onRetry: () => void;
}

/** What `load` makes, whose code is fetched only now; where that fails a widget that says so, and offers a retry. */
export async function loaded(
  app: IApp,
  load: () => Promise<Widget>,
  { onRetry }: INotLoadedProps
): Promise<Widget> {
  try {
    return await load();
  } catch {
    return appWidget(app, <NotLoaded onRetry={onRetry} />, 'jp-Qwen3ft-view');
  }
}

/** A server that was updated has other files than those that an old page asks for. */
function NotLoaded({ onRetry }: INotLoadedProps): JSX.Element {
  const { trans } = useApp();
  return (
    <Alert title={trans.__('This view could not be loaded')}>
      <p>{trans.__('Is JupyterLab still running? After an update of the package, reload the page.')}</p>
      <ActionButton label={trans.__('Try again')} onClick={onRetry} />
    </Alert>
  );
}
