import * as React from 'react';

import type { PanelModel } from '../model';
import { JobProgress } from '../parts/progress';
import type { IJob } from '../types';
import type { ILanguage } from '../words';
import { PauseButton, StopButton } from './buttons';
import { controlsOf } from './lookup';

/** A job under way, beside what it is about: how far it is, and how to let it wait or stop it. */
export function RunningJob({ job, model, language }: RunningJob.IProps): JSX.Element {
  const common = { job, language, isPending: model.isPending(job.id), isIconOnly: true };
  return (
    <JobProgress job={job} language={language}>
      {controlsOf(job) && (
        <PauseButton
          {...common}
          onPause={() => void model.pause(job)}
          onResume={() => void model.resume(job)}
        />
      )}
      <StopButton {...common} onStop={() => void model.stop(job)} />
    </JobProgress>
  );
}

/** A namespace for `RunningJob` statics. */
export namespace RunningJob {
  /** The properties of a running job. */
  export interface IProps {
    readonly job: IJob;
    readonly model: PanelModel;
    readonly language: ILanguage;
  }
}
