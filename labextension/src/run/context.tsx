/** The run that components of the view are about. */

import * as React from 'react';

import type { ICompared } from '../state/compare';
import type { IRunPicture } from '../state/picture';
import type { RunModel } from '../state/run';

const RunContext = React.createContext<RunModel | null>(null);

/** Gives components what `useRun` finds. */
export function inRun(model: RunModel, children: React.ReactElement): React.ReactElement {
  return <RunContext.Provider value={model}>{children}</RunContext.Provider>;
}

/** The model of the run. */
export function useRun(): RunModel {
  const model = React.useContext(RunContext);
  if (model === null) {
    throw new Error('This component is outside of a run.');
  }
  return model;
}

/** What is shown of the run; the component is drawn again when what it selects changed, and only then. */
export function usePicture<T>(select: (picture: IRunPicture) => T): T {
  const model = useRun();
  return React.useSyncExternalStore(model.subscribe, () => select(model.picture));
}

/** The same of what is shown of it beside other runs. */
export function useCompared<T>(select: (picture: ICompared) => T): T {
  const { compared } = useRun();
  return React.useSyncExternalStore(compared.subscribe, () => select(compared.picture));
}
