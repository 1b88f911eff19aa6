/** Saves a notebook when it first shows a job: a page that is reloaded before the next autosave has lost the output. */

import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { Widget } from '@lumino/widgets';

/** Where JupyterLab keeps whether documents are saved by themselves. */
const DOCUMENTS = '@jupyterlab/docmanager-extension:plugin';

/** Saves the notebooks that show jobs, once for each job, unless their user wants to save them by hand. */
export class FirstSave {
  /**
   * @param _tracker - Knows the open notebooks.
   * @param _settings - Knows whether documents are saved by themselves.
   */
  constructor(
    private readonly _tracker: INotebookTracker,
    private readonly _settings: ISettingRegistry | null
  ) {}

  /** Save the notebook that an output of the job `id` has just come into. */
  async save(output: Widget, id: string): Promise<void> {
    const panel = this._tracker.find(each => holds(each, output));
    if (panel === undefined || this._saved.has(id) || !canSave(panel)) {
      return;
    }
    this._saved.add(id);
    if (await this._isSavedByItself()) {
      await panel.context.save();
    }
  }

  private async _isSavedByItself(): Promise<boolean> {
    try {
      const settings = await this._settings?.load(DOCUMENTS);
      return settings?.composite.autosave !== false;
    } catch {
      return true; // an application without that plugin
    }
  }

  private readonly _saved = new Set<string>();
}

/** Whether a widget lies in a cell of a notebook; cells that are scrolled away are in no page. */
function holds(panel: NotebookPanel, widget: Widget): boolean {
  const cells = new Set<Widget>(panel.content.widgets);
  for (let each: Widget | null = widget; each !== null; each = each.parent) {
    if (cells.has(each)) {
      return true;
    }
  }
  return false;
}

/** Whether there is something to save, and nobody else does it: a shared document is saved by its server. */
function canSave({ context }: NotebookPanel): boolean {
  const { model, contentsModel } = context;
  return model.dirty && !model.readOnly && !model.collaborative && contentsModel?.writable !== false;
}
