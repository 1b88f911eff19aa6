import { stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp } from '../components/context';

interface IWaitingProps {
  /** What is being done. */
  readonly label: string;
  readonly onStop: () => void;
}

/** Something is under way that may take more than a second: that it is, and how to stop it. */
export function Waiting({ label, onStop }: IWaitingProps): JSX.Element {
  const { trans } = useApp();
  return (
    <div className="jp-Qwen3ft-progress jp-Qwen3ft-waiting">
      <div className="jp-Qwen3ft-progressHead">
        <span>{label}</span>
      </div>
      <div className="jp-Qwen3ft-progressBar">
        <progress aria-label={label} />
        <ActionButton
          icon={stopIcon}
          isIconOnly
          label={trans.__('Stop')}
          description={trans.__('Stop: %1', label)}
          onClick={onStop}
        />
      </div>
    </div>
  );
}
