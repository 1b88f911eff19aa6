import { Dialog } from '@jupyterlab/apputils';
import { closeIcon, refreshIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IJob } from '../api/answers';
import { CommandIDs } from '../domain/commands';
import { isOnDlc, isPaused } from '../domain/jobs';
import { resumeWord } from '../domain/words';
import { ActionButton } from './button';
import type { IApp } from './context';
import { useApp, usePending } from './context';
import { acceptedWith } from './dialog';
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

/** Removes the record of a job that ended; of one that ran at PAI-DLC it asks whether its entry there goes, too. */
export function ForgetButton({ job }: IJobButtonProps): JSX.Element {
  const app = useApp();
  const { store, trans } = app;
  const isAsking = isOnDlc(job);
  return (
    <ActionButton
      icon={closeIcon}
      label={isAsking ? trans.__('Forget…') : trans.__('Forget')}
      description={
        isAsking
          ? trans.__('Forget… this entry, here or at PAI-DLC as well; files are kept: %1', job.title)
          : trans.__('Forget this entry; files are kept: %1', job.title)
      }
      isBusy={usePending(job.id)}
      onClick={() => void (isAsking ? forgetOnDlc(app, job) : store.actions.forget(job))}
    />
  );
}

async function forgetOnDlc({ store, trans }: IApp, job: IJob): Promise<void> {
  const isThere = await acceptedWith(
    {
      title: trans.__('Forget “%1”?', job.title),
      body: trans.__(
        'Its record and log on this machine go. What it made stays, and so does its entry in the list of PAI-DLC, unless you tick the box.'
      ),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.warnButton({ label: trans.__('Forget') })
      ],
      defaultButton: 0
    },
    trans.__('Delete it from the list of PAI-DLC as well')
  );
  if (isThere !== null) {
    await store.actions.forget(job, isThere);
  }
}
