/** Tells people who look elsewhere that a job has ended. */

import { Notification } from '@jupyterlab/apputils';

import type { IJob } from '../api/answers';
import type { IApp } from '../components/context';
import { CommandIDs } from '../domain/commands';
import type { Store } from '../state/store';

/** The ends that nobody has asked for: whoever stops a job knows. */
const ENDS: ReadonlyMap<string, 'success' | 'error' | 'warning'> = new Map([
  ['succeeded', 'success'],
  ['failed', 'error'],
  ['interrupted', 'warning']
]);

/** How long the good news stays. */
const GOOD_NEWS_MS = 8000;

/** Notify of the ends of jobs that were seen running, as far as people want to hear of them. */
export function notifyOfEnds(app: IApp): void {
  app.store.jobChanged.connect((_: Store, job: IJob) => {
    const look = ENDS.get(job.state);
    const { commands, store, trans } = app;
    if (
      look === undefined ||
      store.notices === 'none' ||
      (store.notices === 'failures' && look === 'success')
    ) {
      return;
    }
    const isRun = commands.hasCommand(CommandIDs.openRun) && job.kind === 'finetune';
    const [label, command, args] = isRun
      ? [trans.__('Show the run'), CommandIDs.openRun, { job_id: job.id }]
      : [trans.__('Show the panel'), CommandIDs.openPanel, {}];
    Notification.emit(noticeOf(job, app), look, {
      autoClose: look === 'success' ? GOOD_NEWS_MS : false,
      actions: [{ label, callback: () => void commands.execute(command, args) }]
    });
  });
}

/** A sentence; notifications are plain text. */
function noticeOf(job: IJob, { trans }: IApp): string {
  const said = trans.__('%1: %2', job.title, job.state_words);
  return job.error === null || job.error.message === ''
    ? said
    : trans.__('%1: %2. %3', job.title, job.state_words, job.error.message);
}
