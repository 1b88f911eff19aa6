/** A form in the main area, and what it has done by the application. Loaded when the first one is opened. */

import '../../style/finetune.css';

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog, Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { FileBrowser } from '@jupyterlab/filebrowser';
import { FileDialog } from '@jupyterlab/filebrowser';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { FineTuneClient } from '../api/finetune';
import { toProblem } from '../api/request';
import type { IApp } from '../components/context';
import { inApp } from '../components/context';
import { confirmLoss } from '../components/dialog';
import { CommandIDs } from '../domain/commands';
import type { IDesk } from './context';
import { inDesk } from './context';
import type { IDraft } from './draft';
import { EMPTY, fromConfig, newDraft } from './draft';
import { readFields } from './fields';
import { Form } from './form';
import { FineTuneModel } from './model';
import type { IOpening } from './opening';
import { CONFIG_SUFFIXES, DATA_SUFFIXES, endsWith } from './opening';

/** What drags of the file browser carry. */
const CONTENTS_MIME = 'application/x-jupyter-icontents';

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

/** A form. */
export class FormView extends ReactWidget {
  constructor(
    private readonly _model: FineTuneModel,
    private readonly _setTitle: (title: string) => void,
    private readonly _services: IFormServices
  ) {
    super();
    this.addClass('jp-Qwen3ft-form');
    this._desk = deskOf(_model, _services);
    this._name();
    this._stopNaming = _model.subscribe(() => this._name());
    this._stopShowing = _services.shared.store.showLists(() => !this.isVisible);
  }

  override dispose(): void {
    this._stopNaming();
    this._stopShowing();
    this._model.dispose();
    super.dispose();
  }

  protected override render(): React.ReactElement {
    return inApp(this._services.shared, inDesk(this._desk, <Form />));
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    for (const type of DRAGS) {
      this.node.addEventListener(type, this._onDrag);
    }
    if (this.isVisible) {
      void this._services.shared.store.refresh();
    }
  }

  protected override onBeforeDetach(msg: Message): void {
    for (const type of DRAGS) {
      this.node.removeEventListener(type, this._onDrag);
    }
    super.onBeforeDetach(msg);
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    void this._services.shared.store.refresh();
  }

  /** What is dropped from the file browser is data. */
  private readonly _onDrag = (event: Event): void => {
    const drag = event as IDragEvent; // Lumino's, which has no type of its own in the DOM's list
    if (!drag.mimeData?.hasData(CONTENTS_MIME)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    drag.dropAction = drag.proposedAction;
    this.toggleClass('jp-mod-dropTarget', event.type === 'lm-dragenter' || event.type === 'lm-dragover');
    if (event.type === 'lm-drop') {
      const paths = drag.mimeData.getData(CONTENTS_MIME);
      const { contents } = this._services.app.serviceManager;
      this._model.addData(
        Array.isArray(paths) ? paths.filter(isText).map(path => contents.localPath(path)) : []
      );
    }
  };

  private _name(): void {
    const { trans } = this._services.shared;
    const { draft, data } = this._model;
    const about = PathExt.basename(draft.path || data[0] || this._model.text('model'));
    const title = about === '' ? trans.__('Fine-tune') : trans.__('Fine-tune: %1', about);
    if (title !== this._title) {
      this._title = title;
      this._setTitle(title);
    }
  }

  private readonly _desk: IDesk;
  private readonly _stopNaming: () => void;
  private readonly _stopShowing: () => void;
  private _title = '';
}

const DRAGS = ['lm-dragenter', 'lm-dragover', 'lm-dragleave', 'lm-drop'];

interface IDragEvent extends Event {
  readonly mimeData?: { hasData(mime: string): boolean; getData(mime: string): unknown };
  readonly proposedAction: string;
  dropAction: string;
}

const isText = (value: unknown): value is string => typeof value === 'string';

/** Make the form that an opening asks for. */
export async function makeForm(
  opening: IOpening,
  setTitle: (title: string) => void,
  services: IFormServices
): Promise<FormView> {
  const { shared, onDraft } = services;
  const client = clientOf(services);
  const draft = opening.draft ?? (await firstDraft(opening, client, services));
  const model = new FineTuneModel({ client, store: shared.store, draft, onDraft });
  onDraft(draft);
  model.load();
  return new FormView(model, setTitle, services);
}

/** The config that the file browser points at, read by the server; null where it is none, which is told. */
async function readConfig(
  path: string,
  client: FineTuneClient,
  services: IFormServices
): Promise<IDraft | null> {
  const { app, shared } = services;
  try {
    const file = await app.serviceManager.contents.get(path, { type: 'file', format: 'text', content: true });
    const base = PathExt.dirname(app.serviceManager.contents.localPath(path));
    const [schema, { config }] = await Promise.all([
      client.schema(),
      client.check(String(file.content), { base })
    ]);
    return fromConfig(config, readFields(schema), path);
  } catch (error) {
    const { message, hint } = toProblem(error);
    Notification.error(
      shared.trans.__(
        '%1 could not be opened as a form: %2',
        PathExt.basename(path),
        `${message} ${hint}`.trim()
      ),
      { autoClose: false }
    );
    return null;
  }
}

async function firstDraft(
  opening: IOpening,
  client: FineTuneClient,
  services: IFormServices
): Promise<IDraft> {
  if (opening.path !== '') {
    return (await readConfig(opening.path, client, services)) ?? EMPTY;
  }
  if (opening.config !== null) {
    return fromConfig(opening.config, readFields(await client.schema()), '');
  }
  const { snapshot } = services.shared.store;
  const here = snapshot.models.find(each => each.cached)?.model_name ?? '';
  return newDraft(opening.modelName || here, opening.data);
}

function clientOf({ app, shared }: IFormServices): FineTuneClient {
  return new FineTuneClient({ settings: app.serviceManager.serverSettings, locale: shared.locale });
}

function deskOf(model: FineTuneModel, services: IFormServices): IDesk {
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
    Notification.error(`${message || shared.trans.__('The server does not answer')} ${hint}`.trim());
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
    label: shared.trans.__('jsonl, json, csv, tsv, parquet or txt; several with Shift or Ctrl'),
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
  if (path !== before && (await exists(path, services)) && !(await mayReplace(path, services))) {
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
    body: trans.__('There is a file %1 already.', path),
    action: trans.__('Replace'),
    cancel: trans.__('Keep it')
  });
}
