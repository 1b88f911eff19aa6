/** A form in the main area, and what it has done by the application. Loaded when the first one is opened. */

import '../../style/finetune.css';

import { Notification } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import type { FineTuneClient } from '../api/finetune';
import { toProblem } from '../api/request';
import { inApp } from '../components/context';
import type { IDesk } from './context';
import { inDesk } from './context';
import type { IFormServices } from './desk';
import { clientOf, deskOf } from './desk';
import type { IDraft } from './draft';
import { EMPTY, fromConfig, newDraft } from './draft';
import { readFields } from './fields';
import { Form } from './form';
import { FineTuneModel } from './model';
import type { IOpening } from './opening';
import { inARow } from '../domain/words';

/** What drags of the file browser carry. */
const CONTENTS_MIME = 'application/x-jupyter-icontents';

const SMALLEST_MODEL = 'Qwen/Qwen3-0.6B';

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
      shared.trans.__('%1 could not be opened as a form: %2', PathExt.basename(path), inARow(message, hint)),
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
  return newDraft(opening.modelName || (await likelyModel(services)), opening.data);
}

/** A model that is on this disk, else the smallest; whoever wants another one changes it. */
async function likelyModel({ shared: { store } }: IFormServices): Promise<string> {
  const { models } = store.snapshot;
  const known = models.length > 0 ? models : await store.client.models().catch(() => []);
  return known.find(each => each.cached)?.model_name ?? SMALLEST_MODEL;
}
