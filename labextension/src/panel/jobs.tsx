import { closeIcon, VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import { HUB_UNREACHABLE } from '../domain/models';
import { PanelModel } from '../state/store';
import { ActionButton } from '../components/button';
import { FocusKeeper } from '../components/focus';
import { PracticeHint } from '../components/practice';
import { RepairButton } from '../components/repair';
import type { IJob } from '../api/types';
import type { ILanguage } from '../domain/words';
import { JobCard } from '../components/card';
import { damageFound, damageJobOf, isActive } from '../domain/jobs';

/** The section that lists what runs and what ran. */
export class JobsView extends VDomRenderer<PanelModel> {
  /**
   * @param model - The state of the panel.
   * @param _language - The language of the interface.
   */
  constructor(
    model: PanelModel,
    private readonly _language: ILanguage
  ) {
    super(model);
    this.addClass('jp-Qwen3ft-section');
  }

  protected override render(): JSX.Element {
    const { trans } = this._language;
    const { jobs, status } = this.model.snapshot;
    if (jobs.length === 0) {
      return (
        <p className="jp-Qwen3ft-empty">
          {status === null
            ? trans.__('Asking the server…')
            : trans.__(
                'Nothing has run yet. Downloads and fine-tunes show here; they go on when you close this page.'
              )}
        </p>
      );
    }
    // The way out is offered once, however many downloads failed for the same reason.
    const unreachable = jobs.find(job => job.error?.code === HUB_UNREACHABLE);
    return (
      <FocusKeeper>
        {jobs.some(job => !isActive(job)) && (
          <div className="jp-Qwen3ft-summary jp-mod-end">
            <ActionButton
              icon={closeIcon}
              label={trans.__('Clear finished')}
              description={trans.__('Clear finished: forget every job that has ended; files are kept')}
              isBusy={this.model.isPending(PanelModel.ENDED_JOBS)}
              onClick={() => void this.model.forgetEnded()}
            />
          </div>
        )}
        <ul className="jp-Qwen3ft-list" aria-label={trans.__('Jobs')}>
          {jobs.map(job => (
            <li className="jp-Qwen3ft-row" key={job.id}>
              {this._card(job, job === unreachable)}
            </li>
          ))}
        </ul>
      </FocusKeeper>
    );
  }

  private _card(job: IJob, isRemedyOffered: boolean): JSX.Element {
    return (
      <JobCard
        job={job}
        client={this.model.client}
        language={this._language}
        isPending={this.model.isPending(job.id)}
        remedy={this._remedy(job, isRemedyOffered)}
        onStop={() => void this.model.stop(job)}
        onPause={() => void this.model.pause(job)}
        onResume={() => void this.model.resume(job)}
        onLimit={maxSpeed => void this.model.limit(job, maxSpeed)}
        onForget={() => void this.model.forget(job)}
      />
    );
  }

  /** A way out: the practice model where there is no hub, a repair where files are damaged. */
  private _remedy(job: IJob, isOffered: boolean): React.ReactNode {
    const language = this._language;
    if (job.error) {
      return isOffered && <PracticeHint problem={job.error} model={this.model} language={language} />;
    }
    const { cache, jobs } = this.model.snapshot;
    const damaged = damageFound(job).length > 0;
    // Only where nothing has mended it since.
    const entry = damaged && cache?.models.find(each => damageJobOf(jobs, each) === job);
    return entry && <RepairButton entry={entry} model={this.model} language={language} />;
  }
}
