/** The live output of a job in a notebook; it survives a page reload and the end of the kernel. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { Event } from '@jupyterlab/services';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import { Panel } from '@lumino/widgets';
import * as React from 'react';

import type { Client } from '../api/client';
import { ProblemAlert } from '../components/alert';
import { FocusKeeper } from '../components/focus';
import { isRecord, text } from '../api/types';
import type { ILanguage } from '../domain/words';
import { JobCard } from '../components/card';
import { JobFollower } from '../state/follower';
import { Sparkline } from '../components/sparkline';

/** The MIME type of a job in a cell's output; its data is `{ id }`. */
export const JOB_MIME_TYPE = 'application/vnd.qwen3ft.job+json';

/** Renders a job live from the server, or what the notebook saved of it where the server does not know it. */
export class JobOutput extends Panel implements IRenderMime.IRenderer {
  constructor(private readonly _options: JobOutput.IOptions) {
    super();
    this.addClass('jp-Qwen3ft-output');
  }

  /** Show the job that a bundle names. Called again at each update of the bundle. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data = model.data[JOB_MIME_TYPE];
    const id = isRecord(data) ? text(data.id) : '';
    if (id !== '' && id === this._id && this._isLive) {
      return; // what the kernel side updates is the saved form; the live one comes from the server
    }
    this._id = id;
    const follower = this._follow(id);
    await follower.start();
    if (this.isDisposed || this._follower !== follower) {
      return;
    }
    this._isLive = follower.job !== null;
    await (this._isLive ? this._showLive(follower) : this._showSaved(model, follower));
  }

  override dispose(): void {
    this._follower?.dispose();
    this._follower = null;
    super.dispose();
  }

  private _follow(id: string): JobFollower {
    this._follower?.dispose();
    this._follower = new JobFollower({
      id,
      client: this._options.client,
      events: this._options.events,
      isHidden: () => !this.isVisible
    });
    return this._follower;
  }

  private async _showLive(follower: JobFollower): Promise<void> {
    this._clear();
    this.addWidget(new JobView(follower, this._options.language));
  }

  /** Show the saved form with JupyterLab's own renderer, as untrusted: it sanitises and runs nothing. */
  private async _showSaved(model: IRenderMime.IMimeModel, follower: JobFollower): Promise<void> {
    follower.dispose();
    const { rendermime } = this._options;
    const mimeType = ['text/html', 'text/plain'].find(
      each => each in model.data && rendermime.mimeTypes.includes(each)
    );
    this._clear();
    if (mimeType !== undefined) {
      const renderer = rendermime.createRenderer(mimeType);
      this.addWidget(renderer);
      const data = { [mimeType]: model.data[mimeType] };
      await renderer.renderModel(rendermime.createModel({ data, trusted: false }));
    }
  }

  private _clear(): void {
    for (const widget of [...this.widgets]) {
      widget.dispose();
    }
  }

  private _follower: JobFollower | null = null;
  private _id: string | null = null;
  private _isLive = false;
}

/** A namespace for `JobOutput` statics. */
export namespace JobOutput {
  /** What an output is made of. */
  export interface IOptions {
    readonly client: Client;
    readonly events: ISignal<unknown, Event.Emission> | null;
    readonly language: ILanguage;
    readonly rendermime: IRenderMimeRegistry;
  }
}

/** The live view of a job. */
class JobView extends VDomRenderer<JobFollower> {
  constructor(
    model: JobFollower,
    private readonly _language: ILanguage
  ) {
    super(model);
  }

  protected override render(): JSX.Element | null {
    const { job, problem, client, isPending } = this.model;
    if (job === null) {
      return null;
    }
    return (
      <FocusKeeper>
        <JobCard
          job={job}
          client={client}
          language={this._language}
          isPending={isPending}
          onStop={() => void this.model.stop()}
          onPause={() => void this.model.pause()}
          onResume={() => void this.model.resume()}
          onLimit={maxSpeed => void this.model.limit(maxSpeed)}
        >
          <Sparkline metrics={job.metrics} language={this._language} />
        </JobCard>
        {problem && <ProblemAlert problem={problem} language={this._language} />}
      </FocusKeeper>
    );
  }
}
