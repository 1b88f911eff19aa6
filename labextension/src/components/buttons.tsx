import { runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { pauseIcon } from './icons';
import { ActionButton } from './button';
import type { IJob } from '../api/types';
import type { ILanguage } from '../domain/words';
import { jobTitle } from '../domain/words';
import { isPaused } from '../domain/jobs';

interface IButtonProps {
  readonly job: IJob;
  readonly language: ILanguage;
  readonly isPending: boolean;
  readonly isIconOnly?: boolean;
}

/** Lets a job wait, or go on. */
export function PauseButton(props: PauseButton.IProps): JSX.Element {
  const { job, language, isPending, isIconOnly, onPause, onResume } = props;
  const { trans } = language;
  const label = isPaused(job) ? trans.__('Resume') : trans.__('Pause');
  return (
    <ActionButton
      icon={isPaused(job) ? runIcon : pauseIcon}
      isIconOnly={isIconOnly}
      label={label}
      description={trans.__('%1: %2', label, jobTitle(job, trans))}
      isBusy={isPending}
      onClick={isPaused(job) ? onResume : onPause}
    />
  );
}

/** A namespace for `PauseButton` statics. */
export namespace PauseButton {
  /** The properties of the button. */
  export interface IProps extends IButtonProps {
    readonly onPause: () => void;
    readonly onResume: () => void;
  }
}

/** Asks a job to stop. */
export function StopButton({ job, language, isPending, isIconOnly, onStop }: StopButton.IProps): JSX.Element {
  const { trans } = language;
  return (
    <ActionButton
      icon={stopIcon}
      isIconOnly={isIconOnly}
      label={trans.__('Stop')}
      description={trans.__('Stop: %1', jobTitle(job, trans))}
      isBusy={isPending || job.state === 'stopping'}
      onClick={onStop}
    />
  );
}

/** A namespace for `StopButton` statics. */
export namespace StopButton {
  /** The properties of the button. */
  export interface IProps extends IButtonProps {
    readonly onStop: () => void;
  }
}
