/** How well the processes of a fine-tune work together, in words. Pure. */

import type { IRanks } from '../api/ranks';
import { formatCount, formatShare } from './format';
import type { ILanguage } from './language';

/** What is known of it, the most important first; empty before the first step. */
export function together({ metrics }: IRanks, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const { tokens_per_s, tokens_per_s_per_device, parallel_efficiency, communication_share } = metrics;
  const { slowest_rank, slowest_rank_excess } = metrics;
  const words: string[] = [];
  const rate = (value: number) => formatCount(Math.round(value), locale);
  if (tokens_per_s !== undefined && tokens_per_s_per_device !== undefined) {
    words.push(trans.__('%1 tokens/s, %2 on each device', rate(tokens_per_s), rate(tokens_per_s_per_device)));
  }
  if (parallel_efficiency !== undefined) {
    words.push(trans.__('parallel efficiency %1', formatShare(parallel_efficiency, 1, locale)));
  }
  if (communication_share !== undefined) {
    words.push(trans.__('communication %1', formatShare(communication_share, 1, locale)));
  }
  if (slowest_rank !== undefined && slowest_rank_excess !== undefined) {
    const excess = formatShare(slowest_rank_excess, 1, locale);
    words.push(trans.__('process %1 is the slowest, %2 over the mean', slowest_rank, excess));
  }
  return words;
}
