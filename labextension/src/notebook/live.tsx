import type { Widget } from '@lumino/widgets';
import * as React from 'react';

import { ProblemAlert } from '../components/alert';
import { JobCard } from '../components/card';
import type { IApp } from '../components/context';
import { appWidget, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { RankTable } from '../components/ranks';
import { Sparkline } from '../components/sparkline';
import type { JobWatch } from '../state/watch';

/** The live view of a job. */
export function liveWidget(app: IApp, watch: JobWatch): Widget {
  return appWidget(app, <Live watch={watch} />);
}

function Live({ watch }: { readonly watch: JobWatch }): JSX.Element | null {
  const job = useStore(() => watch.job);
  const metrics = useStore(() => watch.metrics);
  const problem = useStore(({ actions }) => actions.problemOf(watch.id) ?? watch.problem);
  if (job === null) {
    return null;
  }
  return (
    <FocusKeeper>
      <JobCard job={job}>
        <Sparkline metrics={metrics} job={job} />
        <RankTable job={job} />
      </JobCard>
      {problem && <ProblemAlert problem={problem} />}
    </FocusKeeper>
  );
}
