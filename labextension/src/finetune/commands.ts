/** The commands that open forms. The form itself is loaded with the first one. */

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette, MainAreaWidget } from '@jupyterlab/apputils';
import { WidgetTracker } from '@jupyterlab/apputils';
import type { FileBrowser, IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { ILauncher } from '@jupyterlab/launcher';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { UUID } from '@lumino/coreutils';

import type { IApp } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import { CommandIDs } from '../domain/commands';
import type { IDraft } from './draft';
import type { IOpening } from './opening';
import { CONFIG_SUFFIXES, DATA_SUFFIXES, endsWith, keyOf, OPENING_ARGS, readOpening } from './opening';

/** What is typed is written down when nobody types on. */
const KEEP_DELAY_MS = 300;

const NO_ARGS = { args: { type: 'object', properties: {} } };

/** What the application has for forms. */
export interface IPlaces {
  readonly restorer: ILayoutRestorer | null;
  readonly palette: ICommandPalette | null;
  readonly launcher: ILauncher | null;
  readonly browsers: IFileBrowserFactory | null;
  readonly notebooks: INotebookTracker | null;
}

/** Register the commands. */
export function addFineTune(app: JupyterFrontEnd, shared: IApp, places: IPlaces): void {
  const { trans } = shared;
  const { commands } = app;
  const forms = new Forms(app, shared, places);
  const chosen = () =>
    [...(forms.browser()?.selectedItems() ?? [])].filter(each => each.type !== 'directory');
  const areChosen = (suffixes: ReadonlyArray<string>) =>
    chosen().length > 0 && chosen().every(each => endsWith(each.name, suffixes));
  commands.addCommand(CommandIDs.openFineTune, {
    label: args =>
      args.isPalette === true ? trans.__('Fine-tune a Qwen3 Model') : trans.__('Fine-tune Qwen3'),
    caption: trans.__('Choose a model and data, see whether it fits, and start'),
    icon: qwen3ftIcon,
    describedBy: { args: OPENING_ARGS },
    execute: args => forms.open(readOpening(args))
  });
  commands.addCommand(CommandIDs.fineTuneOnFiles, {
    label: trans.__('Fine-tune Qwen3 on This'),
    icon: qwen3ftIcon,
    describedBy: NO_ARGS,
    isVisible: () => areChosen(DATA_SUFFIXES),
    execute: () =>
      forms.open(
        readOpening({ data: chosen().map(each => app.serviceManager.contents.localPath(each.path)) })
      )
  });
  commands.addCommand(CommandIDs.openConfig, {
    label: trans.__('Open as a Fine-tune of Qwen3'),
    icon: qwen3ftIcon,
    describedBy: NO_ARGS,
    isVisible: () => areChosen(CONFIG_SUFFIXES),
    execute: () => Promise.all(chosen().map(each => forms.open(readOpening({ path: each.path }))))
  });
  const category = trans.__('Qwen3');
  places.palette?.addItem({ command: CommandIDs.openFineTune, category, args: { isPalette: true } });
  places.launcher?.add({ command: CommandIDs.openFineTune, category, rank: 1 });
}

/** The forms that are open, and what is kept of them. */
class Forms {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _shared: IApp,
    private readonly _places: IPlaces
  ) {
    void _places.restorer?.restore(this._tracker, {
      command: CommandIDs.openFineTune,
      args: widget => this._kept.get(widget.id) ?? {},
      name: widget => widget.id
    });
  }

  /** The file browser that is in use. */
  readonly browser = (): FileBrowser | null => this._places.browsers?.tracker.currentWidget ?? null;

  /** Open a form, or show the one that was opened with the same. */
  async open(opening: IOpening): Promise<MainAreaWidget> {
    const key = keyOf(opening);
    const known = this._tracker.find(each => key !== '' && this._kept.get(each.id)?.key === key);
    if (known !== undefined) {
      this._app.shell.activateById(known.id);
      return known;
    }
    const { makeForm } = await import('./view');
    const id = opening.kept?.id ?? `qwen3ft-finetune-${UUID.uuid4()}`;
    const widget = await makeForm(id, opening, {
      app: this._app,
      shared: this._shared,
      notebooks: this._places.notebooks,
      browser: this.browser,
      onDraft: draft => this._keep(id, key, draft)
    });
    this._app.shell.add(widget, 'main', { type: 'Qwen3 fine-tune' });
    await this._tracker.add(widget);
    this._app.shell.activateById(id);
    widget.disposed.connect(() => this._kept.delete(id), this);
    return widget;
  }

  private _keep(id: string, key: string, draft: IDraft): void {
    this._kept.set(id, { id, key, draft: JSON.parse(JSON.stringify(draft)) });
    clearTimeout(this._timers.get(id));
    this._timers.set(
      id,
      setTimeout(() => {
        const widget = this._tracker.find(each => each.id === id);
        if (widget !== undefined) {
          void this._tracker.save(widget);
        }
      }, KEEP_DELAY_MS)
    );
  }

  private readonly _kept = new Map<string, ReadonlyPartialJSONObject>();
  private readonly _timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly _tracker = new WidgetTracker<MainAreaWidget>({ namespace: 'qwen3ft-finetune' });
}
