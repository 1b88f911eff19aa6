import { stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../model';
import { ActionButton } from '../parts/button';
import { JobProgress } from '../parts/progress';
import type { IJob } from '../types';
import type { ILanguage } from '../words';
import { jobTitle } from '../words';
import { PauseButton } from './card';

/** A job under way, beside what it is about: how far it is, and how to let it wait or stop it. */
export function RunningJob({ job, model, language }: RunningJob.IProps): JSX.Element {
  const { trans } = language;
  const isStopping = job.state === 'stopping';
  return (
    <JobProgress job={job} language={language}>
      {job.controls && !isStopping && (
        <PauseButton
          job={job}
          language={language}
          isPaused={job.controls.paused}
          isPending={model.isPending(job.id)}
          isIconOnly
          onPause={() => void model.pause(job)}
          onResume={() => void model.resume(job)}
        />
      )}
      <ActionButton
        icon={stopIcon}
        isIconOnly
        label={trans.__('Stop')}
        description={trans.__('Stop: %1', jobTitle(job, trans))}
        isBusy={model.isPending(job.id) || isStopping}
        onClick={() => void model.stop(job)}
      />
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
