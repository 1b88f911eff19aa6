import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IJob } from '../api/answers';
import { ActionButton } from '../components/button';
import { JobCard } from '../components/card';
import { useApp, usePending, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { LongList } from '../components/long';
import { PracticeHint } from '../components/practice';
import { RepairButton } from '../components/repair';
import { damageFound, damageJobOf, isActive, runningFirst } from '../domain/jobs';
import { HUB_UNREACHABLE } from '../domain/models';
import { Actions } from '../state/actions';

/** The section that lists what runs and what ran. */
export function Jobs(): JSX.Element {
  const { store, trans } = useApp();
  const jobs = useStore(({ snapshot }) => snapshot.jobs);
  const isAsked = useStore(({ snapshot }) => snapshot.status !== null);
  const isClearing = usePending(Actions.ENDED_JOBS);
  if (jobs.length === 0) {
    return (
      <p className="jp-Qwen3ft-empty">
        {isAsked
          ? trans.__(
              'Nothing has run yet. Downloads and fine-tunes show here; they go on when you close this page.'
            )
          : trans.__('Asking the server…')}
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
            isBusy={isClearing}
            onClick={() => void store.actions.forgetEnded()}
          />
        </div>
      )}
      <LongList
        label={trans.__('Jobs')}
        items={runningFirst(jobs)}
        row={job => <Row key={job.id} job={job} isRemedyOffered={job === unreachable} />}
      />
    </FocusKeeper>
  );
}

interface IRowProps {
  readonly job: IJob;
  readonly isRemedyOffered: boolean;
}

/** A job; of a long list only what changed is drawn again. */
const Row = React.memo(function Row({ job, isRemedyOffered }: IRowProps): JSX.Element {
  return (
    <li className="jp-Qwen3ft-row">
      <JobCard
        isListed
        job={job}
        remedy={
          job.error ? (
            isRemedyOffered && <PracticeHint problem={job.error} />
          ) : damageFound(job).length > 0 ? (
            <Repair job={job} />
          ) : null
        }
      />
    </li>
  );
});

/** The way to mend what a check found damaged, if nothing has mended it since. */
function Repair({ job }: { readonly job: IJob }): JSX.Element | null {
  const entry = useStore(({ snapshot }) =>
    snapshot.cache?.models.find(each => damageJobOf(snapshot.jobs, each) === job)
  );
  return entry ? <RepairButton entry={entry} /> : null;
}
