/** What the components of a form use without being handed it. */

import * as React from 'react';

import type { FineTuneModel } from './model';

/** What a form can have done by the application. */
export interface IDesk {
  readonly model: FineTuneModel;
  /** Let somebody choose files; an empty list if none was chosen. Null where there is no file browser. */
  readonly chooseFiles: (() => Promise<ReadonlyArray<string>>) | null;
  /** Put the config into a notebook. Null where there are none. */
  readonly insertCell: (() => Promise<void>) | null;
  /** Save the config as a file. */
  readonly save: () => Promise<void>;
}

const DeskContext = React.createContext<IDesk | null>(null);

/** Gives components what `useDesk` finds. */
export function inDesk(desk: IDesk, children: React.ReactElement): React.ReactElement {
  return <DeskContext.Provider value={desk}>{children}</DeskContext.Provider>;
}

/** What the application does. */
export function useDesk(): IDesk {
  const desk = React.useContext(DeskContext);
  if (desk === null) {
    throw new Error('This component is outside of a form.');
  }
  return desk;
}

/** The form; the component is drawn again whenever something in it changed. */
export function useModel(): FineTuneModel {
  const { model } = useDesk();
  React.useSyncExternalStore(model.subscribe, () => model.version);
  return model;
}
