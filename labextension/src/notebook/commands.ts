/** The commands of the extension: what they are called and what they do. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { Notification } from '@jupyterlab/apputils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { text } from '../api/read';
import { CommandIDs } from '../domain/commands';
import type { ICell } from './cells';
import { configCells, fineTuneCells, insertCells, jobCell, loadCells } from './cells';
import type { IPlace } from './place';
import { findOutput } from './place';

/** The smallest model: what the commands take when they are run from the palette, without arguments. */
const DEFAULT_MODEL = 'Qwen/Qwen3-0.6B';

const MODEL_ARGS: ReadonlyJSONObject = {
  type: 'object',
  properties: {
    modelName: { type: 'string', description: 'The model, for example Qwen/Qwen3-0.6B.' }
  }
};

const CODE_ARGS: ReadonlyJSONObject = {
  type: 'object',
  properties: { source: { type: 'string', description: 'The code.' } },
  required: ['source']
};

const FINE_TUNE_ARGS: ReadonlyJSONObject = {
  type: 'object',
  properties: {
    modelName: { type: 'string', description: 'The model, for example Qwen/Qwen3-0.6B.' },
    yaml: { type: 'string', description: 'The whole config in YAML, instead of one for the model.' },
    folder: { type: 'string', description: 'Where a new notebook goes, if none is open.' }
  }
};

const JOB_ARGS: ReadonlyJSONObject = {
  type: 'object',
  properties: {
    jobId: { type: 'string', description: 'The id of the job.' },
    title: { type: 'string', description: 'What the job is called.' }
  },
  required: ['jobId']
};

/** What the commands need of the application. */
export interface ICommandServices {
  readonly tracker: INotebookTracker | null;
  readonly palette: ICommandPalette | null;
  readonly trans: TranslationBundle;
}

/** Register the commands that write into notebooks. */
export function addCellCommands(app: JupyterFrontEnd, services: ICommandServices): void {
  const { palette, trans } = services;
  // One after the other: the second of two quick clicks finds the notebook that the first one opens.
  let latest: Promise<void> = Promise.resolve();
  const inTurn = (cells: ReadonlyArray<ICell>, folder = ''): Promise<void> => {
    latest = latest.catch(() => undefined).then(() => insert(app, services, cells, folder));
    return latest;
  };
  app.commands.addCommand(CommandIDs.insertLoadCell, {
    label: trans.__('Insert a Cell That Loads a Qwen3 Model'),
    caption: trans.__('Put the code that loads a model into the notebook'),
    describedBy: { args: MODEL_ARGS },
    execute: args => inTurn(loadCells(modelOf(args)))
  });
  app.commands.addCommand(CommandIDs.insertFineTuneCells, {
    label: trans.__('Insert Cells That Fine-tune a Qwen3 Model'),
    caption: trans.__('Put the code that fine-tunes a model into the notebook'),
    describedBy: { args: FINE_TUNE_ARGS },
    execute: args => {
      const yaml = text(args.yaml);
      return inTurn(yaml === '' ? fineTuneCells(modelOf(args)) : configCells(yaml), text(args.folder));
    }
  });
  app.commands.addCommand(CommandIDs.insertCode, {
    label: trans.__('Insert a Cell with This Code'),
    describedBy: { args: CODE_ARGS },
    execute: args => inTurn([{ source: text(args.source) }])
  });
  app.commands.addCommand(CommandIDs.showJob, {
    label: trans.__('Show a Job in the Notebook'),
    caption: trans.__('Go to the cell that shows a job, or put one into the notebook'),
    describedBy: { args: JOB_ARGS },
    execute: async args => {
      const id = text(args.jobId);
      const place = services.tracker && findOutput(services.tracker, id);
      await (place === null ? inTurn([jobCell(id, text(args.title))]) : reveal(app, place));
    }
  });
  const category = trans.__('Qwen3');
  palette?.addItem({ command: CommandIDs.insertLoadCell, category });
  palette?.addItem({ command: CommandIDs.insertFineTuneCells, category });
}

function modelOf(args: ReadonlyPartialJSONObject): string {
  return typeof args.modelName === 'string' && args.modelName !== '' ? args.modelName : DEFAULT_MODEL;
}

async function reveal(app: JupyterFrontEnd, { panel, index }: IPlace): Promise<void> {
  app.shell.activateById(panel.id);
  await panel.revealed;
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  await panel.content.scrollToItem(index, 'center');
}

async function insert(
  app: JupyterFrontEnd,
  { tracker, trans }: ICommandServices,
  cells: ReadonlyArray<ICell>,
  folder: string
): Promise<void> {
  const panel = tracker?.currentWidget ?? (await newNotebook(app, folder));
  if (panel === null) {
    Notification.warning(trans.__('Open a notebook first; the code goes below its active cell.'));
    return;
  }
  await panel.revealed;
  if (!insertCells(panel, cells)) {
    Notification.warning(trans.__('This notebook cannot be changed. Open another one.'));
    return;
  }
  app.shell.activateById(panel.id);
}

/** Open a notebook with the default kernel, null where the application cannot. */
async function newNotebook(app: JupyterFrontEnd, folder: string): Promise<NotebookPanel | null> {
  const command = 'notebook:create-new';
  if (!app.commands.hasCommand(command)) {
    return null;
  }
  const kernelName = app.serviceManager.kernelspecs.specs?.default;
  // The notebook extension's own command, which promises a panel or nothing.
  const panel: NotebookPanel | undefined = await app.commands.execute(command, {
    kernelName,
    ...(folder !== '' && { cwd: folder })
  });
  await panel?.context.ready;
  return panel ?? null;
}
