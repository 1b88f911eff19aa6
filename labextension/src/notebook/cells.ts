/** The code that the panel's buttons put into a notebook, and how it gets there. */

import type { NotebookPanel } from '@jupyterlab/notebook';

import { PRACTICE_CONFIG, PRACTICE_MODEL } from '../domain/models';
import { JOB_MIME_TYPE } from './place';

/** An output, as notebooks keep it: no interface, for an interface is never taken for plain JSON. */
type Output = {
  output_type: 'display_data';
  data: { [mimeType: string]: string | { id: string } };
  metadata: { [name: string]: string };
};

/** A code cell to be put into a notebook. */
export interface ICell {
  readonly source: string;
  /** What it shows before it is run. */
  readonly outputs?: ReadonlyArray<Output>;
}

/** The cells that load a model; the record of what was done is the code itself. */
export function loadCells(modelName: string): ReadonlyArray<ICell> {
  const source = [
    'from qwen3ft_jupyter import get_model_manager',
    '',
    'manager = get_model_manager()',
    `model, tokenizer = manager.load_model_and_tokenizer(${quote(modelName)})`
  ];
  return [{ source: source.join('\n') }];
}

/** The cells that fine-tune a model: a cell magic has to stand first, so loading it takes a cell of its own. */
export function fineTuneCells(modelName: string): ReadonlyArray<ICell> {
  const fields = [
    '%%qwen3ft finetune',
    `model: ${quote(modelName)}`,
    'data: train.jsonl        # messages, alpaca or sharegpt; json, jsonl or csv',
    'method: lora             # or full',
    ...(modelName === PRACTICE_MODEL
      ? PRACTICE_FIELDS
      : [`output_dir: runs/${shortName(modelName)}`, 'epochs: 1'])
  ];
  return [{ source: '%load_ext qwen3ft_jupyter' }, { source: fields.join('\n') }];
}

/** The cells that fine-tune by a config which is written already. */
export function configCells(yaml: string): ReadonlyArray<ICell> {
  return [{ source: '%load_ext qwen3ft_jupyter' }, { source: `%%qwen3ft finetune\n${yaml.trimEnd()}` }];
}

/** A cell that shows a job: it does so before it is run, and its code does the same again. */
export function jobCell(jobId: string, title: string): ICell {
  return {
    source: `%load_ext qwen3ft_jupyter\n%qwen3ft jobs follow ${jobId}`,
    outputs: [
      {
        output_type: 'display_data',
        data: { [JOB_MIME_TYPE]: { id: jobId }, 'text/plain': `${title} · ${jobId}` },
        metadata: {}
      }
    ]
  };
}

/** The fields of the practice model, as they are written. */
const PRACTICE_FIELDS: ReadonlyArray<string> = Object.entries(PRACTICE_CONFIG).map(([name, value]) =>
  name === 'overwrite' ? `${name}: ${value}          # the run before is replaced` : `${name}: ${value}`
);

/**
 * Put cells below the active one of a notebook, or into it where it is an empty code cell.
 *
 * @returns Whether the notebook could be changed.
 */
export function insertCells(panel: NotebookPanel, cells: ReadonlyArray<ICell>): boolean {
  const notebook = panel.content;
  const shared = notebook.model?.sharedModel;
  if (shared === undefined || notebook.model?.readOnly) {
    return false;
  }
  const active = notebook.activeCell?.model.sharedModel;
  const empty = active && 'setOutputs' in active && active.getSource().trim() === '' ? active : null;
  const [reused, inserted] = empty ? [cells.slice(0, 1), cells.slice(1)] : [[], cells];
  const index = notebook.activeCellIndex;
  shared.transact(() => {
    reused.forEach(cell => {
      empty?.setSource(cell.source);
      empty?.setOutputs([...(cell.outputs ?? [])]);
    });
    shared.insertCells(
      index + 1,
      inserted.map(({ source, outputs = [] }) => ({ cell_type: 'code', source, outputs: [...outputs] }))
    );
  });
  notebook.activeCellIndex = index + inserted.length;
  notebook.deselectAll();
  return true;
}

/** A model's name without its owner, in characters that every file system and YAML take as they are. */
function shortName(modelName: string): string {
  return modelName.slice(modelName.lastIndexOf('/') + 1).replace(/[^\w.-]/g, '_');
}

/** A string that means the same in Python, YAML and JSON. */
function quote(value: string): string {
  return JSON.stringify(value);
}
