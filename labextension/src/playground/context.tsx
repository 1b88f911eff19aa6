/** What the components of a playground may use without being handed it. */

import type { ServiceManager } from '@jupyterlab/services';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import * as React from 'react';

import type { Playground } from './model';
import type { ISnapshot } from './snapshot';

/** What is there beside the application. */
export interface IPlayground {
  readonly playground: Playground;
  readonly rendermime: IRenderMimeRegistry;
  readonly specs: ServiceManager.IManager['kernelspecs'];
}

const PlaygroundContext = React.createContext<IPlayground | null>(null);

/** Gives components what `usePlayground` finds. */
export const PlaygroundProvider = PlaygroundContext.Provider;

/** All that is there. */
export function usePlayground(): IPlayground {
  const found = React.useContext(PlaygroundContext);
  if (found === null) {
    throw new Error('This component is outside of a playground.');
  }
  return found;
}

/** What is known now; the component is drawn again when it changes. */
export function useSnapshot(): ISnapshot {
  const { playground } = usePlayground();
  return React.useSyncExternalStore(playground.subscribe, () => playground.snapshot);
}
