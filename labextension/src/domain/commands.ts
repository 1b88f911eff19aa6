/** The ids of the commands. */
export namespace CommandIDs {
  /** Show the panel. */
  export const openPanel = 'qwen3ft:open-panel';
  /** Put a cell that loads a model into the notebook. */
  export const insertLoadCell = 'qwen3ft:insert-load-cell';
  /** Put cells that fine-tune a model into the notebook. */
  export const insertFineTuneCells = 'qwen3ft:insert-fine-tune-cells';
  /** Show the run of a fine-tune in the main area. */
  export const openRun = 'qwen3ft:open-run';
  /** Show the form of a fine-tune, filled in with a config. */
  export const openFineTune = 'qwen3ft:open-finetune';
  /** Show a job where a notebook has it, else in a cell of its own. */
  export const showJob = 'qwen3ft:show-job';
}
