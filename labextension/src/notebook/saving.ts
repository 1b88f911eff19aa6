/** Saves a notebook when the output of a job first shows in it. */

import type { INotebookTracker } from '@jupyterlab/notebook';
import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import { findOutput } from './place';

/** JupyterLab's settings of documents, which say whether it saves them by itself. */
const DOCUMENT_SETTINGS = '@jupyterlab/docmanager-extension:plugin';

/**
 * A page that is left before JupyterLab's first save would come back with an empty cell and a kernel that is busy for
 * hours, and nothing that tells why. So the output is saved once it is there, unless documents are saved by hand only.
 */
export class OutputSaver {
  constructor(
    private readonly _tracker: INotebookTracker | null,
    private readonly _settings: ISettingRegistry | null
  ) {}

  /** Save the notebook in which the output of a job that is under way has come to show; once for each job. */
  async save(jobId: string): Promise<void> {
    const context = this._tracker && findOutput(this._tracker, jobId)?.panel.context;
    if (!context || this._saved.has(jobId) || !context.model.dirty || context.model.readOnly) {
      return;
    }
    this._saved.add(jobId);
    if (await this._isWanted()) {
      // A failure is told by JupyterLab itself; the job goes on in any case.
      await context.save().catch(() => undefined);
    }
  }

  private async _isWanted(): Promise<boolean> {
    const settings = await this._settings?.load(DOCUMENT_SETTINGS).catch(() => null);
    return settings?.composite.autosave !== false;
  }

  private readonly _saved = new Set<string>();
}
