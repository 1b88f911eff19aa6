import { closeIcon, refreshIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IJob } from '../api/answers';
import { CommandIDs } from '../domain/commands';
import { isPaused } from '../domain/jobs';
import { resumeWord } from '../domain/words';
import { ActionButton } from './button';
import { useApp, usePending } from './context';
import { pauseIcon } from './icons';

interface IJobButtonProps {
  readonly job: IJob;
  readonly isIconOnly?: boolean;
}

/** Lets a job wait, or go on. */
export function PauseButton({ job, isIconOnly }: IJobButtonProps): JSX.Element {
  const { store, trans } = useApp();
  const label = isPaused(job) ? trans.__('Resume') : trans.__('Pause');
  return (
    <ActionButton
      icon={isPaused(job) ? runIcon : pauseIcon}
      isIconOnly={isIconOnly}
      label={label}
      description={trans.__('%1: %2', label, job.title)}
      isBusy={usePending(job.id)}
      onClick={() =>
        void store.actions.control(job, client =>
          isPaused(job) ? client.resume(job.id) : client.pause(job.id)
        )
      }
    />
  );
}

/** Asks a job to stop. */
export function StopButton({ job, isIconOnly }: IJobButtonProps): JSX.Element {
  const { store, trans } = useApp();
  const isPending = usePending(job.id);
  return (
    <ActionButton
      icon={stopIcon}
      isIconOnly={isIconOnly}
      label={trans.__('Stop')}
      description={trans.__('Stop: %1', job.title)}
      isBusy={isPending || job.state === 'stopping'}
      onClick={() => void store.actions.control(job, client => client.stop(job.id))}
    />
  );
}

/** Goes on with a job that ended early. */
export function ResumeButton({ job }: IJobButtonProps): JSX.Element {
  const { store, trans } = useApp();
  return (
    <ActionButton
      icon={refreshIcon}
      label={resumeWord(job, trans)}
      description={trans.__('%1: %2', resumeWord(job, trans), job.title)}
      isBusy={usePending(job.id)}
      onClick={() => void store.actions.control(job, client => client.resume(job.id))}
    />
  );
}

/** Goes to the cell that shows a job, or makes one; nothing where the commands are switched off. */
export function NotebookButton({ job }: IJobButtonProps): JSX.Element | null {
  const { commands, trans } = useApp();
  if (!commands.hasCommand(CommandIDs.showJob)) {
    return null;
  }
  const label = trans.__('Show in the notebook');
  return (
    <ActionButton
      label={label}
      description={trans.__('%1: %2', label, job.title)}
      onClick={() => void commands.execute(CommandIDs.showJob, { jobId: job.id, title: job.title })}
    />
  );
}

interface IChatProps {
  readonly model: string;
  /** The fine-tune: its job's id or its folder. */
  readonly adapter: string;
}

/** Talks to the result of a fine-tune; nothing where the playground is switched off. */
export function ChatButton({ model, adapter }: IChatProps): JSX.Element | null {
  const { commands, trans } = useApp();
  if (!commands.hasCommand(CommandIDs.openPlayground)) {
    return null;
  }
  return (
    <ActionButton
      look="primary"
      label={trans.__('Chat')}
      description={trans.__('Chat with the result in the playground')}
      onClick={() => void commands.execute(CommandIDs.openPlayground, { model, adapter })}
    />
  );
}

/** Removes the record of a job that ended. */
export function ForgetButton({ job }: IJobButtonProps): JSX.Element {
  const { store, trans } = useApp();
  return (
    <ActionButton
      icon={closeIcon}
      label={trans.__('Forget')}
      description={trans.__('Forget this entry; files are kept: %1', job.title)}
      isBusy={usePending(job.id)}
      onClick={() => void store.actions.forget(job)}
    />
  );
}
