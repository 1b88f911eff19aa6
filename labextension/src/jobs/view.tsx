import { VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../model';
import type { ILanguage } from '../words';
import { JobCard } from './card';

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
    return (
      <ul className="jp-Qwen3ft-list" aria-label={trans.__('Jobs')}>
        {jobs.map(job => (
          <li className="jp-Qwen3ft-row" key={job.id}>
            <JobCard
              job={job}
              client={this.model.client}
              language={this._language}
              isPending={this.model.isPending(job.id)}
              onStop={() => void this.model.stop(job)}
              onResume={() => void this.model.resume(job)}
              onForget={() => void this.model.forget(job)}
            />
          </li>
        ))}
      </ul>
    );
  }
}
