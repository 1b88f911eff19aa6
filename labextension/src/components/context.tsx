/** What every component may use without being handed it: the store, the commands, the language. */

import type { CommandRegistry } from '@lumino/commands';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ILanguage } from '../domain/language';
import type { Store } from '../state/store';

/** Where components are, and the language that they speak. */
export interface IApp extends ILanguage {
  readonly store: Store;
  /** Where the commands that write into notebooks are found. */
  readonly commands: CommandRegistry;
  /** Draws Markdown; null where the application draws none. */
  readonly rendermime?: IRenderMimeRegistry | null;
}

const AppContext = React.createContext<IApp | null>(null);

/** Gives components what `useApp` finds. */
export function inApp(app: IApp, children: React.ReactElement): React.ReactElement {
  return <AppContext.Provider value={app}>{children}</AppContext.Provider>;
}

/** A widget of components. */
export function appWidget(app: IApp, children: React.ReactElement, className = ''): ReactWidget {
  const widget = ReactWidget.create(inApp(app, children));
  if (className !== '') {
    widget.addClass(className);
  }
  return widget;
}

/** All that is there. */
export function useApp(): IApp {
  const app = React.useContext(AppContext);
  if (app === null) {
    throw new Error('This component is outside of an application.');
  }
  return app;
}

/**
 * A value of the store; the component is drawn again when it changes, and only then.
 *
 * @param select - Gives the same value, not an equal one, while nothing changed.
 */
export function useStore<T>(select: (store: Store) => T): T {
  const { store } = useApp();
  return React.useSyncExternalStore(store.subscribe, () => select(store));
}

/** Whether an action on this thing (a model's name, a slug, a job's id) is under way. */
export function usePending(...keys: ReadonlyArray<string>): boolean {
  return useStore(({ actions }) => keys.some(key => actions.isPending(key)));
}
