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
  /** Open it for the files that are chosen in the file browser. */
  export const fineTuneOnFiles = 'qwen3ft:finetune-on-files';
  /** Open it for the config that is chosen there. */
  export const openConfig = 'qwen3ft:open-config';
  /** Show a job where a notebook has it, else in a cell of its own. */
  export const showJob = 'qwen3ft:show-job';
  /** Put a cell with this code into the notebook. */
  export const insertCode = 'qwen3ft:insert-code';
  /** Show a folder in the file browser: a command of JupyterLab. */
  export const goToPath = 'filebrowser:go-to-path';
  /** Talk to a model. */
  export const openPlayground = 'qwen3ft:open-playground';
}
