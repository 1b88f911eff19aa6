import * as React from 'react';

import { Alert } from './alert';
import { useApp } from './context';

/** For a shell, in every language. */
const INSTALL_COMMANDS = 'pip install qwen3ft-jupyter\njupyter server extension enable qwen3ft_jupyter';

/** What to do where JupyterLab runs without our server part. */
export function ServerMissing(): JSX.Element {
  const { trans } = useApp();
  return (
    <Alert title={trans.__('The server part is missing')} look="warning">
      <p>
        {trans.__(
          'JupyterLab runs without the qwen3ft_jupyter server extension. In the environment that JupyterLab was started from, run:'
        )}
      </p>
      <pre className="jp-Qwen3ft-command" tabIndex={0} aria-label={trans.__('Commands to run')}>
        {INSTALL_COMMANDS}
      </pre>
      <p>{trans.__('Then restart JupyterLab and reload this page.')}</p>
    </Alert>
  );
}
