/** The plugins; each can be switched off on its own. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { Client } from './api/client';
import { CommandIDs } from './domain/commands';
import { addCellCommands } from './notebook/commands';
import { toLocale } from './domain/format';
import { qwen3ftIcon } from './components/icons';
import { JOB_MIME_TYPE, JobOutput } from './notebook/output';
import { PanelModel } from './state/store';
import { QwenPanel } from './panel/panel';
import { followSettings } from './state/settings';
import type { ILanguage } from './domain/words';

/** The panel in the left sidebar. */
const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:plugin',
  description: 'Adds the Qwen3 panel: models, cache and jobs.',
  autoStart: true,
  optional: [ILayoutRestorer, ICommandPalette, ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ): void => {
    const language = languageOf(translator);
    const { trans } = language;
    const model: PanelModel = new PanelModel({
      client: new Client(app.serviceManager.serverSettings),
      events: app.serviceManager.events.stream,
      intervalMs: 15_000,
      isHidden: () => !panel.isVisible
    });
    const panel: QwenPanel = new QwenPanel({
      model,
      language,
      commands: app.commands,
      translator: translator ?? undefined
    });
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
      void followSettings(settings, panelPlugin.id, model);
    }
  }
};

/** The live output of a job in a notebook. */
const jobOutputPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:job-output',
  description: 'Renders the live state of a job in the output of a cell.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, rendermime: IRenderMimeRegistry, translator: ITranslator | null): void => {
    const client = new Client(app.serviceManager.serverSettings);
    const language = languageOf(translator);
    const events = app.serviceManager.events.stream;
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [JOB_MIME_TYPE],
        createRenderer: () => new JobOutput({ client, events, language, rendermime })
      },
      0
    );
  }
};

/** The commands that write code into notebooks. */
const cellCommandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'qwen3ft-jupyter:cell-commands',
  description: 'Adds commands that put code into a notebook which loads or fine-tunes a model.',
  autoStart: true,
  optional: [INotebookTracker, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    addCellCommands(app, { tracker, palette, trans: languageOf(translator).trans });
  }
};

function languageOf(translator: ITranslator | null): ILanguage {
  const used = translator ?? nullTranslator;
  return { trans: used.load('qwen3ft_jupyter'), locale: toLocale(used.languageCode) };
}

export default [panelPlugin, jobOutputPlugin, cellCommandsPlugin];
