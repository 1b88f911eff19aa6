/** The commands that open forms. The form itself is loaded with the first one. */

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { FileBrowser, IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { ILauncher } from '@jupyterlab/launcher';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { ReadonlyJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { UUID } from '@lumino/coreutils';
import type { Widget } from '@lumino/widgets';

import { text } from '../api/read';
import type { IApp } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import { CommandIDs } from '../domain/commands';
import { MainViews } from '../main/views';
import type { IDraft } from './draft';
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
    execute: args => forms.open(args)
  });
  commands.addCommand(CommandIDs.fineTuneOnFiles, {
    label: trans.__('Fine-tune Qwen3 on This'),
    icon: qwen3ftIcon,
    describedBy: NO_ARGS,
    isVisible: () => areChosen(DATA_SUFFIXES),
    execute: () => forms.openData(chosen().map(each => each.path))
  });
  commands.addCommand(CommandIDs.openConfig, {
    label: trans.__('Open as a Fine-tune of Qwen3'),
    icon: qwen3ftIcon,
    describedBy: NO_ARGS,
    isVisible: () => areChosen(CONFIG_SUFFIXES),
    execute: () => chosen().forEach(each => forms.open({ path: each.path }))
  });
  const category = trans.__('Qwen3');
  places.palette?.addItem({ command: CommandIDs.openFineTune, category, args: { isPalette: true } });
  places.launcher?.add({ command: CommandIDs.openFineTune, category, rank: 1 });
}

/** The forms that are open. */
class Forms {
  constructor(
    private readonly _app: JupyterFrontEnd,
    shared: IApp,
    private readonly _places: IPlaces
  ) {
    this._views = new MainViews({
      app: { shell: _app.shell, context: shared },
      restorer: _places.restorer,
      command: CommandIDs.openFineTune,
      id: 'qwen3ft-finetune',
      icon: qwen3ftIcon,
      keyOf: args => encodeURIComponent(text(args.key)),
      title: () => shared.trans.__('Fine-tune'),
      load: async (args, view) => {
        const { makeForm } = await import('./view');
        return makeForm(readOpening(args), view.setTitle, {
          app: _app,
          shared,
          notebooks: _places.notebooks,
          browser: this.browser,
          onDraft: keeper(text(args.key), view.keep)
        });
      }
    });
  }

  /** The file browser that is in use. */
  readonly browser = (): FileBrowser | null => this._places.browsers?.tracker.currentWidget ?? null;

  /** Open a form, or show the one that was opened with the same. */
  open(args: ReadonlyPartialJSONObject): Widget {
    const key = text(args.key) || keyOf(readOpening(args)) || UUID.uuid4();
    // What a command is given is JSON.
    return this._views.open({ ...(args as ReadonlyJSONObject), key });
  }

  /** Open one for files. */
  openData(paths: ReadonlyArray<string>): Widget {
    return this.open({ data: paths.map(path => this._app.serviceManager.contents.localPath(path)) });
  }

  private readonly _views: MainViews<ReadonlyJSONObject>;
}

/** Writes down what is filled in, for the next page. */
function keeper(key: string, keep: (args: ReadonlyJSONObject) => void): (draft: IDraft) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return draft => {
    clearTimeout(timer);
    timer = setTimeout(() => keep({ key, draft: JSON.parse(JSON.stringify(draft)) }), KEEP_DELAY_MS);
  };
}
