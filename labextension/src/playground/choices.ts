/** What one can talk to: the models on this disk, and the results of fine-tunes. */

import type { ICache, IJob } from '../api/answers';
import { json, text } from '../api/read';

/** A model, or the result of a fine-tune. */
export interface IChoice {
  /** The model; of a fine-tune, what it began with. */
  readonly model: string;
  /** The fine-tune: its job's id or its folder; empty for a model as it is. */
  readonly adapter: string;
  readonly label: string;
}

/** The models that can be loaded now, each once. */
export function cachedChoices(cache: ICache | null): ReadonlyArray<IChoice> {
  const names = new Set((cache?.models ?? []).map(each => each.model_name));
  return [...names].map(model => ({ model, adapter: '', label: model }));
}

/** The fine-tunes that came to a result, the newest first. */
export function tunedChoices(jobs: ReadonlyArray<IJob>): ReadonlyArray<IChoice> {
  return jobs
    .filter(job => job.kind === 'finetune' && job.state === 'succeeded')
    .map(job => {
      const config = json(job.params.config);
      const model = text(config.model);
      const folder = text(job.result?.output_dir) || text(config.output_dir);
      return { model, adapter: job.id, label: `${folderName(folder) || job.id} · ${model}` };
    });
}

/** What tells one choice from another; empty where nothing is chosen. */
export function choiceKey({ model, adapter }: Pick<IChoice, 'model' | 'adapter'>): string {
  return adapter !== '' ? `run ${adapter}` : model && `model ${model}`;
}

/** What is opened, as it is shown: by its name in a list, else by itself. */
export function labelOf(chosen: Pick<IChoice, 'model' | 'adapter'>, choices: ReadonlyArray<IChoice>): string {
  const listed = choices.find(each => choiceKey(each) === choiceKey(chosen));
  return listed?.label ?? (chosen.adapter === '' ? chosen.model : folderName(chosen.adapter));
}

function folderName(path: string): string {
  return (
    path
      .split(/[\\/]/)
      .filter(part => part !== '')
      .pop() ?? ''
  );
}
