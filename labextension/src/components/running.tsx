import * as React from 'react';

import type { PanelModel } from '../state/store';
import { JobProgress } from './progress';
import type { IJob } from '../api/types';
import type { ILanguage } from '../domain/words';
import { PauseButton, StopButton } from './buttons';
import { controlsOf } from '../domain/jobs';

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
