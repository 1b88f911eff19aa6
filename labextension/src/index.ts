/** The plugins; each but the first can be switched off on its own. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';

import { Client } from './api/client';
import type { IApp } from './components/context';
import { qwen3ftIcon } from './components/icons';
import { CommandIDs } from './domain/commands';
import { toLocale } from './domain/format';
import { addCellCommands } from './notebook/commands';
import { JobOutput } from './notebook/output';
import { JOB_MIME_TYPE } from './notebook/place';
import { FirstSave } from './notebook/saving';
import { QwenPanel } from './panel/panel';
import { addRunViews } from './run/plugin';
import { followSettings } from './state/settings';
import { Store } from './state/store';

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
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): IApp => {
    const used = translator ?? nullTranslator;
    const locale = toLocale(used.languageCode);
    const store = new Store({
      client: new Client({ settings: app.serviceManager.serverSettings, locale }),
      events: app.serviceManager.events.stream,
      intervalMs: 15_000
    });
    return { store, commands: app.commands, trans: used.load('qwen3ft_jupyter'), locale };
  }
};

/** The panel in the left sidebar. */
const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:plugin',
  description: 'Adds the Qwen3 panel: models, cache and jobs.',
  autoStart: true,
  requires: [IQwen3ft],
  optional: [ILayoutRestorer, ICommandPalette, ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    shared: IApp,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ): void => {
    const { trans } = shared;
    const panel = new QwenPanel(shared, translator ?? undefined);
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

export default [storePlugin, panelPlugin, jobOutputPlugin, cellCommandsPlugin, runViewPlugin];
