import * as React from 'react';

import { ProblemAlert } from '../components/alert';
import { useApp, useStore } from '../components/context';
import { RunningJob } from '../components/progress';
import { isActive } from '../domain/jobs';

/** How far the download of a model or a data set is, and why it could not be begun. */
export function Downloading({ name }: { readonly name: string }): JSX.Element {
  const { store } = useApp();
  const job = useStore(each => each.downloadOf(name));
  const problem = useStore(({ actions }) => actions.problemOf(name));
  return (
    <>
      {job !== null && isActive(job) && <RunningJob job={job} />}
      {problem && <ProblemAlert problem={problem} onDismiss={() => store.actions.dismissProblem()} />}
    </>
  );
}
