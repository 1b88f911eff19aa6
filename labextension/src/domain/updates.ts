/** Which copies have a newer commit on their hub. Pure. */

import type { ICache, ICached } from '../api/answers';
import type { INews } from '../api/details';
import { isBeside } from './jobs';

/** What a hub said of a copy, if it has another commit than this one: what is cached may have changed since. */
export function updateOf(news: ReadonlyArray<INews>, copy: ICached): INews | null {
  const said = news.find(each => each.slug === copy.slug && each.model_name === copy.model_name);
  const isOther = said !== undefined && said.latest !== '' && said.latest !== copy.commit;
  return isOther && copy.owner === 'qwen3ft' ? said : null;
}

/** Our copy of a model in its main folder. */
export function mainCopy(cache: ICache | null, modelName: string): ICached | null {
  const isMain = (each: ICached) =>
    each.owner === 'qwen3ft' && each.model_name === modelName && !isBeside(each);
  return cache?.models.find(isMain) ?? null;
}

/** When hubs were asked last, in seconds since 1970; null where none has answered within a day. */
export function checkedAt(news: ReadonlyArray<INews>): number | null {
  const times = news.flatMap(({ checked }) => (checked === null ? [] : [checked]));
  return times.length === 0 ? null : Math.max(...times);
}
