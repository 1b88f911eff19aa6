/** The code that the panel's buttons put into a notebook, and how it gets there. */

import type { NotebookPanel } from '@jupyterlab/notebook';

import { PRACTICE_MODEL } from '../domain/models';

/** The cells that load a model; the record of what was done is the code itself. */
export function loadCells(modelName: string): ReadonlyArray<string> {
  return [
    [
      'from qwen3ft_jupyter import get_model_manager',
      '',
      'manager = get_model_manager()',
      `model, tokenizer = manager.load_model_and_tokenizer(${quote(modelName)})`
    ].join('\n')
  ];
}

/** The cells that fine-tune a model: a cell magic has to stand first, so loading it takes a cell of its own. */
export function fineTuneCells(modelName: string): ReadonlyArray<string> {
  return [
    '%load_ext qwen3ft_jupyter',
    [
      '%%qwen3ft finetune',
      `model: ${quote(modelName)}`,
      'data: train.jsonl        # messages, alpaca or sharegpt; json, jsonl or csv',
      'method: lora             # or full',
      ...(modelName === PRACTICE_MODEL
        ? PRACTICE_FIELDS
        : [`output_dir: runs/${shortName(modelName)}`, 'epochs: 1'])
    ].join('\n')
  ];
}

/** What the practice model learns well with: it is far smaller than the models that the defaults are for. */
const PRACTICE_FIELDS: ReadonlyArray<string> = [
  'output_dir: runs/practice',
  'overwrite: true          # the run before is replaced',
  'epochs: 12',
  'learning_rate: 3e-3',
  'batch_size: 8',
  'gradient_accumulation: 1',
  'max_length: 256'
];

/**
 * Put cells below the active one of a notebook, or into it where it is an empty code cell.
 *
 * @returns Whether the notebook could be changed.
 */
export function insertCells(panel: NotebookPanel, sources: ReadonlyArray<string>): boolean {
  const notebook = panel.content;
  const shared = notebook.model?.sharedModel;
  if (shared === undefined || notebook.model?.readOnly) {
    return false;
  }
  const active = notebook.activeCell?.model.sharedModel;
  const isReused = active?.cell_type === 'code' && active.getSource().trim() === '';
  const [reused, inserted] = isReused ? [sources.slice(0, 1), sources.slice(1)] : [[], sources];
  const index = notebook.activeCellIndex;
  shared.transact(() => {
    reused.forEach(source => active?.setSource(source));
    shared.insertCells(
      index + 1,
      inserted.map(source => ({ cell_type: 'code', source }))
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
