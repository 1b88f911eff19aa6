/** The models that one can have: their order, and the one that needs no hub. */

import type { IModel } from '../api/answers';

/** The model that the server part brings along; it needs no hub. */
export const PRACTICE_MODEL = 'qwen3ft/Qwen3-Practice';

/** What the practice model learns well with: it is far smaller than the models that the defaults are for. */
export const PRACTICE_CONFIG: Readonly<Record<string, string | boolean>> = {
  output_dir: 'runs/practice',
  overwrite: true,
  epochs: '12',
  learning_rate: '3e-3',
  batch_size: '8',
  gradient_accumulation: '1',
  max_length: '256'
};

/** The code of the error that a hub cannot be reached. */
export const HUB_UNREACHABLE = 'hub-unreachable';

/**
 * Put the practice model where it is looked for; all others stay in the server's order.
 *
 * @param models - As the server lists them.
 * @param isHubUnreachable - Whether it is the only model that can be had now: then it comes first.
 */
export function inOrder(models: ReadonlyArray<IModel>, isHubUnreachable: boolean): ReadonlyArray<IModel> {
  const practice = models.filter(isPractice);
  const others = models.filter(each => !isPractice(each));
  const recommended = others.map(each => each.role !== '').lastIndexOf(true) + 1;
  const index = isHubUnreachable ? 0 : recommended;
  return [...others.slice(0, index), ...practice, ...others.slice(index)];
}

/** Whether a row is the practice model's, which no catalogue has and every server part brings. */
export function isPractice(entry: IModel): boolean {
  return entry.model_name === PRACTICE_MODEL;
}
