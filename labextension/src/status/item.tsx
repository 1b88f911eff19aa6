/** What the status bar says of running jobs. */

import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IJob, IProgress } from '../api/answers';
import { SERVER_MISSING } from '../api/request';
import type { IApp } from '../components/context';
import { inApp, useApp, useStore } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import { CommandIDs } from '../domain/commands';
import { formatPercent, formatRate } from '../domain/format';
import { isActive, isPaused } from '../domain/jobs';
import type { ILanguage } from '../domain/language';
import type { Store } from '../state/store';

/**
 * The item: how many jobs run and how far they are; empty while none does.
 *
 * It asks the server once, and again only while it knows of a job that runs or hears of one by an event.
 */
export class JobsItem extends ReactWidget {
  constructor(private readonly _app: IApp) {
    super();
    this._stop = _app.store.glanceAtJobs(() => !isWorthALook(_app.store));
  }

  override dispose(): void {
    this._stop();
    super.dispose();
  }

  protected override render(): React.ReactElement {
    return inApp(this._app, <RunningJobs />);
  }

  private readonly _stop: () => void;
}

/** Without a server part there is nothing to hear of. */
function isWorthALook(store: Store): boolean {
  return store.snapshot.problem?.code !== SERVER_MISSING && store.isJobExpected;
}

function RunningJobs(): JSX.Element | null {
  const app = useApp();
  const { commands, trans } = app;
  const jobs = useStore(({ snapshot }) => snapshot.jobs);
  const running = jobs.filter(isActive);
  if (running.length === 0) {
    return null;
  }
  const words = sumWords(running, app);
  const titles = running.map(job => `${job.title}: ${isPaused(job) ? trans.__('Paused') : job.state_words}`);
  return (
    <button
      type="button"
      className="jp-Qwen3ft-statusItem"
      title={titles.join('\n')}
      aria-label={trans.__('Qwen3: %1. Show the panel', words)}
      onClick={() => void commands.execute(CommandIDs.openPanel)}
    >
      <qwen3ftIcon.react tag="span" aria-hidden="true" className="jp-Qwen3ft-statusIcon" />
      {words}
    </button>
  );
}

/** How many jobs there are, how far one is or what it does where that is not known, and how fast bytes come. */
export function sumWords(running: ReadonlyArray<IJob>, { trans, locale }: ILanguage): string {
  const going = running.filter(job => !isPaused(job)).flatMap(({ progress }) => (progress ? [progress] : []));
  const rate = going.reduce((sum, { unit, rate }) => sum + (unit === 'bytes' ? (rate ?? 0) : 0), 0);
  const [only] = running.length === 1 ? going : [];
  return [
    trans._n('%1 job', '%1 jobs', running.length),
    only === undefined ? '' : howFar(only, locale),
    rate > 0 ? formatRate(rate, locale) : ''
  ]
    .filter(part => part !== '')
    .join(' · ');
}

/** A share of the phase that is under way; its name once there is no more to count in it: the job is not at its end. */
function howFar({ done, total, phase_words }: IProgress, locale: string): string {
  const isKnown = total !== null && total > 0 && done < total;
  return isKnown ? formatPercent(done / total, locale) : phase_words;
}
