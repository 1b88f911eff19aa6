/** The code that the panel's buttons put into a notebook, and how it gets there. */

import type { NotebookPanel } from '@jupyterlab/notebook';

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
      'epochs: 1'
    ].join('\n')
  ];
}

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
      inserted.map(source => ({ cell_type: 'code', source, metadata: { trusted: true } }))
    );
  });
  notebook.activeCellIndex = index + inserted.length;
  notebook.deselectAll();
  return true;
}

/** A string that means the same in Python, YAML and JSON. */
function quote(value: string): string {
  return JSON.stringify(value);
}
