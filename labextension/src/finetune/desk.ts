/** What a form has done by the application: files chosen, a cell inserted, the config saved. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog, Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { FileBrowser } from '@jupyterlab/filebrowser';
import { FileDialog } from '@jupyterlab/filebrowser';
import type { INotebookTracker } from '@jupyterlab/notebook';

import { FineTuneClient } from '../api/finetune';
import { toProblem } from '../api/request';
import type { IApp } from '../components/context';
import { confirmLoss } from '../components/dialog';
import { CommandIDs } from '../domain/commands';
import type { IDesk } from './context';
import type { IDraft } from './draft';
import type { FineTuneModel } from './model';
import { CONFIG_SUFFIXES, DATA_SUFFIXES, endsWith } from './opening';
import { inARow } from '../domain/words';

/** What a form works with. */
export interface IFormServices {
  readonly app: JupyterFrontEnd;
  readonly shared: IApp;
  readonly notebooks: INotebookTracker | null;
  /** The file browser that is in use, null where there is none. */
  readonly browser: () => FileBrowser | null;
  /** Keeps what is filled in, for the next page. */
  readonly onDraft: (draft: IDraft) => void;
}

/** Who asks the server. */
export function clientOf({ app, shared }: IFormServices): FineTuneClient {
  return new FineTuneClient({ settings: app.serviceManager.serverSettings, locale: shared.locale });
}

/** What a form can have done. */
export function deskOf(model: FineTuneModel, services: IFormServices): IDesk {
  const { app } = services;
  const hasCells = services.notebooks !== null && app.commands.hasCommand(CommandIDs.insertFineTuneCells);
  return {
    model,
    chooseFiles: services.browser() === null ? null : () => chooseFiles(services),
    insertCell: hasCells ? () => told(services, () => insertCell(model, services)) : null,
    save: () => told(services, () => save(model, services))
  };
}

/** Do something; say why where it went wrong. */
async function told({ shared }: IFormServices, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    const { message, hint } = toProblem(error);
    Notification.error(inARow(message || shared.trans.__('The server does not answer'), hint));
  }
}

async function chooseFiles({ app, shared, browser }: IFormServices): Promise<ReadonlyArray<string>> {
  const used = browser();
  if (used === null) {
    return [];
  }
  const chosen = await FileDialog.getOpenFiles({
    manager: used.model.manager,
    title: shared.trans.__('Data of the fine-tune'),
    label: shared.trans.__('jsonl, json, csv, tsv, parquet, xlsx or txt; several with Shift or Ctrl'),
    defaultPath: used.model.path,
    filter: file => (file.type === 'directory' || endsWith(file.name, DATA_SUFFIXES) ? {} : null)
  });
  const paths = (chosen.value ?? []).map(file => app.serviceManager.contents.localPath(file.path));
  return chosen.button.accept ? paths.filter(path => path !== '') : [];
}

async function insertCell(model: FineTuneModel, services: IFormServices): Promise<void> {
  const { app, notebooks, browser } = services;
  const { contents } = app.serviceManager;
  const open = notebooks?.currentWidget ?? null;
  const folder =
    open === null
      ? contents.localPath(browser()?.model.path ?? '')
      : PathExt.dirname(contents.localPath(open.context.path));
  const { yaml } = await clientOf(services).check(model.config, { folder });
  await app.commands.execute(CommandIDs.insertFineTuneCells, { yaml, folder });
}

async function save(model: FineTuneModel, services: IFormServices): Promise<void> {
  const { app, shared } = services;
  const { contents } = app.serviceManager;
  const { trans } = shared;
  const before = model.draft.path;
  const answer = await InputDialog.getText({
    title: trans.__('Save the fine-tune as YAML'),
    label: trans.__('File'),
    text: before || PathExt.join(folderOf(model.data), 'finetune.yaml'),
    okLabel: trans.__('Save')
  });
  const typed = answer.value?.trim() ?? '';
  if (!answer.button.accept || typed === '') {
    return;
  }
  const path = endsWith(typed, CONFIG_SUFFIXES) ? typed : `${typed}.yaml`;
  // A file that was opened may hold more than fields: what people wrote to each other.
  const isOurs = path === before && model.hasSaved;
  if (!isOurs && (await exists(path, services)) && !(await mayReplace(path, services))) {
    return;
  }
  const folder = PathExt.dirname(contents.localPath(path));
  const { yaml } = await clientOf(services).check(model.config, { folder });
  await contents.save(path, { type: 'file', format: 'text', content: yaml });
  model.savedTo(path);
  Notification.success(trans.__('Saved: %1', path), {
    actions: [
      {
        label: trans.__('Open'),
        callback: () => void app.commands.execute('docmanager:open', { path, factory: 'Editor' })
      }
    ]
  });
}

/** The folder of the first file; of data sets on a hub the server's. */
function folderOf(data: ReadonlyArray<string>): string {
  const file = data.find(each => endsWith(each, DATA_SUFFIXES));
  return file === undefined || file.startsWith('/') ? '' : PathExt.dirname(file);
}

async function exists(path: string, { app }: IFormServices): Promise<boolean> {
  try {
    await app.serviceManager.contents.get(path, { content: false });
    return true;
  } catch {
    return false;
  }
}

async function mayReplace(path: string, { shared: { trans } }: IFormServices): Promise<boolean> {
  return confirmLoss({
    title: trans.__('Replace the file?'),
    body: trans.__('There is a file %1 already. Comments in it are not kept.', path),
    action: trans.__('Replace'),
    cancel: trans.__('Keep it')
  });
}
