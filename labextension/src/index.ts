/** The plugins; each but the first can be switched off on its own. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';

import { Client } from './api/client';
import type { IApp } from './components/context';
import { qwen3ftIcon } from './components/icons';
import { CommandIDs } from './domain/commands';
import { toLocale } from './domain/format';
import { addFineTune } from './finetune/commands';
import { addCellCommands } from './notebook/commands';
import { JobOutput } from './notebook/output';
import { JOB_MIME_TYPE } from './notebook/place';
import { FirstSave } from './notebook/saving';
import { QwenPanel } from './panel/panel';
import { addPlayground } from './playground/plugin';
import { addRunViews } from './run/plugin';
import { followSettings } from './state/settings';
import { Store } from './state/store';
import { JobsItem } from './status/item';
import { notifyOfEnds } from './status/notify';

/** What the other plugins share. */
const IQwen3ft = new Token<IApp>(
  'qwen3ft-jupyter:IQwen3ft',
  'What is known of the server part: models, cache and jobs.'
);

/** The one store. It asks nothing while no panel and no output shows what it knows. */
const storePlugin: JupyterFrontEndPlugin<IApp> = {
  id: 'qwen3ft-jupyter:store',
  description: 'Knows the models, the cache and the jobs of the server part.',
  autoStart: true,
  provides: IQwen3ft,
  optional: [ITranslator, IRenderMimeRegistry],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    rendermime: IRenderMimeRegistry | null
  ): IApp => {
    const used = translator ?? nullTranslator;
    const locale = toLocale(used.languageCode);
    const store = new Store({
      client: new Client({ settings: app.serviceManager.serverSettings, locale }),
      events: app.serviceManager.events.stream,
      intervalMs: 15_000
    });
    return { store, commands: app.commands, trans: used.load('qwen3ft_jupyter'), locale, rendermime };
  }
};

/** The panel in the left sidebar. */
const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:plugin',
  description: 'Adds the Qwen3 panel: models, cache and jobs.',
  autoStart: true,
  requires: [IQwen3ft],
  optional: [ILayoutRestorer, ICommandPalette, ISettingRegistry, ITranslator, IStateDB],
  activate: (
    app: JupyterFrontEnd,
    shared: IApp,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null,
    state: IStateDB | null
  ): void => {
    const { trans } = shared;
    const panel = new QwenPanel(shared, state, translator ?? undefined);
    app.shell.add(panel, 'left', { rank: 650, type: 'Qwen3' });
    restorer?.add(panel, panel.id);
    app.commands.addCommand(CommandIDs.openPanel, {
      label: trans.__('Show the Qwen3 Panel'),
      caption: trans.__('Download, load and fine-tune Qwen3 models'),
      icon: qwen3ftIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(panel.id)
    });
    palette?.addItem({ command: CommandIDs.openPanel, category: trans.__('Qwen3') });
    if (settings) {
      void followSettings(settings, panelPlugin.id, shared.store);
    }
  }
};

/** What runs, in the status bar, and what has ended, as a notification. */
const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:status',
  description: 'Shows running jobs in the status bar, and notifies of their ends.',
  autoStart: true,
  requires: [IQwen3ft],
  optional: [IStatusBar],
  activate: (app: JupyterFrontEnd, shared: IApp, statusBar: IStatusBar | null): void => {
    notifyOfEnds(shared);
    // Whatever runs already is asked for when all the rest of the page is there.
    void app.restored.then(() => {
      const item = new JobsItem(shared);
      statusBar?.registerStatusItem('qwen3ft-jupyter:jobs', { item, align: 'left', rank: 100 });
      return shared.store.refresh();
    });
  }
};

/** The live output of a job in a notebook. */
const jobOutputPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:job-output',
  description: 'Renders the live state of a job in the output of a cell.',
  autoStart: true,
  requires: [IQwen3ft, IRenderMimeRegistry],
  optional: [INotebookTracker, ISettingRegistry],
  activate: (
    _: JupyterFrontEnd,
    shared: IApp,
    rendermime: IRenderMimeRegistry,
    tracker: INotebookTracker | null,
    settings: ISettingRegistry | null
  ): void => {
    const saving = tracker && new FirstSave(tracker, settings);
    const createRenderer = (): JobOutput =>
      new JobOutput(shared, rendermime, (output, id) => void saving?.save(output, id));
    rendermime.addFactory({ safe: true, mimeTypes: [JOB_MIME_TYPE], createRenderer }, 0);
  }
};

/** The commands that write code into notebooks. */
const cellCommandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:cell-commands',
  description: 'Adds commands that put code into a notebook which loads or fine-tunes a model.',
  autoStart: true,
  requires: [IQwen3ft],
  optional: [INotebookTracker, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    shared: IApp,
    tracker: INotebookTracker | null,
    palette: ICommandPalette | null
  ): void => {
    addCellCommands(app, { tracker, palette, trans: shared.trans });
  }
};

/** The runs of fine-tunes in the main area. */
const runViewPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:run-view',
  description: 'Opens the run of a fine-tune in the main area.',
  autoStart: true,
  requires: [IQwen3ft],
  optional: [ILayoutRestorer],
  activate: (app: JupyterFrontEnd, shared: IApp, restorer: ILayoutRestorer | null): void =>
    addRunViews(app, shared, restorer)
};

/** Talking to models in the main area. */
const playgroundPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:playground',
  description: 'Adds a playground that talks to models and to the results of fine-tunes.',
  autoStart: true,
  requires: [IQwen3ft, IRenderMimeRegistry],
  optional: [ILayoutRestorer, ICommandPalette, ILauncher],
  activate: (
    app: JupyterFrontEnd,
    shared: IApp,
    rendermime: IRenderMimeRegistry,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null
  ): void => {
    addPlayground(app, shared, { rendermime, restorer, palette, launcher });
  }
};

/** The form of a fine-tune; it is loaded when the first one is opened. */
const fineTunePlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:finetune',
  description: 'Adds the form that prepares and starts a fine-tune.',
  autoStart: true,
  requires: [IQwen3ft],
  optional: [ILayoutRestorer, ICommandPalette, ILauncher, IFileBrowserFactory, INotebookTracker],
  activate: (
    app: JupyterFrontEnd,
    shared: IApp,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    browsers: IFileBrowserFactory | null,
    notebooks: INotebookTracker | null
  ): void => {
    addFineTune(app, shared, { restorer, palette, launcher, browsers, notebooks });
  }
};

export default [
  storePlugin,
  panelPlugin,
  statusPlugin,
  jobOutputPlugin,
  cellCommandsPlugin,
  fineTunePlugin,
  playgroundPlugin,
  runViewPlugin
];
