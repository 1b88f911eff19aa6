/** Where the output of a job stands in the open notebooks. */

import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import { isRecord, text } from '../api/read';

/** The MIME type of a job in a cell's output; its data is `{ id }`. */
export const JOB_MIME_TYPE = 'application/vnd.qwen3ft.job+json';

/** The job that an output of these forms is about; empty for none. */
export function jobIdOf(data: unknown): string {
  const bundle = isRecord(data) ? data[JOB_MIME_TYPE] : undefined;
  return isRecord(bundle) ? text(bundle.id) : '';
}

/** A cell of a notebook. */
export interface IPlace {
  readonly panel: NotebookPanel;
  readonly index: number;
}

/** The last cell that shows a job, null where no open notebook has one. */
export function findOutput(tracker: INotebookTracker, jobId: string): IPlace | null {
  const places: IPlace[] = [];
  tracker.forEach(panel => {
    panel.content.model?.sharedModel.cells.forEach((cell, index) => {
      if ('getOutputs' in cell && cell.getOutputs().some(output => jobIdOf(output.data) === jobId)) {
        places.push({ panel, index });
      }
    });
  });
  return places[places.length - 1] ?? null;
}
