/** The models that one can have: their order, what is said of them, and the one that needs no hub. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IModel } from '../api/answers';

/** The model that the server part brings along; it needs no hub. */
export const PRACTICE_MODEL = 'qwen3ft/Qwen3-Practice';

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

/** What a catalogued model is for. */
export function roleWord(role: string, trans: TranslationBundle): string {
  switch (role) {
    case 'quick experiments':
      return trans.__('Quick experiments');
    case 'recommended for production':
      return trans.__('Recommended for production');
    case 'higher quality':
      return trans.__('Higher quality');
    case 'practice':
      return trans.__('Practice: no network needed');
    default:
      return role;
  }
}

/** The kind of a catalogued model. */
export function kindWord(kind: string, trans: TranslationBundle): string {
  switch (kind) {
    case 'hybrid':
      return trans.__('Thinks on demand');
    case 'instruct':
      return trans.__('Instruct');
    case 'thinking':
      return trans.__('Thinking');
    case 'base':
      return trans.__('Base');
    case 'moe':
      return trans.__('Mixture of experts');
    default:
      return kind;
  }
}

/** What the catalogue remarks on a model; other remarks stay as they are. */
export function noteWords(note: string, trans: TranslationBundle): string {
  switch (note) {
    case 'Not trained to converse: a starting point for fine-tuning.':
      return trans.__('Not trained to converse: a starting point for fine-tuning.');
    case 'Mixture of experts: fast, but all 61 GB must fit. 4-bit loading leaves the experts as they are; LoRA trains the attention layers only.':
      return trans.__(
        'Mixture of experts: fast, but all 61 GB must fit. 4-bit loading leaves the experts as they are; LoRA trains the attention layers only.'
      );
    case 'Not trained to converse. Mixture of experts: all 61 GB must fit.':
      return trans.__('Not trained to converse. Mixture of experts: all 61 GB must fit.');
    case 'Needs several GPUs, or one of 80 GB to load it.':
      return trans.__('Needs several GPUs, or one of 80 GB to load it.');
    case 'Answers at once, without thinking first.':
      return trans.__('Answers at once, without thinking first.');
    case 'Comes with this package and is served on this machine.':
      return trans.__('Comes with this package and is served on this machine.');
    case 'Always thinks before it answers.':
      return trans.__('Always thinks before it answers.');
    default:
      return note;
  }
}
