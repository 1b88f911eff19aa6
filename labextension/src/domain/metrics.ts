/** What the metrics of a run are called, and how their values are written. Pure. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes, formatCount, formatDuration, formatMetric } from './format';

/** The name of a metric, or of a number that a run came to; that of others is what the trainer calls it. */
export function metricName(name: string, trans: TranslationBundle): string {
  switch (name) {
    case 'loss':
      return trans.__('Training loss');
    case 'eval_loss':
      return trans.__('Loss on held-out rows');
    case 'learning_rate':
      return trans.__('Learning rate');
    case 'grad_norm':
      return trans.__('Gradient norm');
    case 'tokens_per_s':
      return trans.__('Tokens a second');
    case 'tokens_per_s_per_device':
      return trans.__('Tokens a second on each device');
    case 'parallel_efficiency':
      return trans.__('Parallel efficiency');
    case 'communication_share':
      return trans.__('Communication');
    case 'load_balance':
      return trans.__('Load balance');
    case 'slowest_rank':
      return trans.__('Slowest process');
    case 'slowest_rank_excess':
      return trans.__('Slowest process over the mean');
    case 'memory_bytes':
      return trans.__('Memory');
    case 'peak_bytes':
      return trans.__('Memory at most');
    case 'mfu':
      return trans.__('Utilisation');
    case 'steps':
      return trans.__('Steps');
    case 'tokens':
      return trans.__('Tokens');
    case 'seconds':
      return trans.__('Time');
    case 'first_loss':
      return trans.__('First loss');
    case 'last_loss':
      return trans.__('Last loss');
    case 'best_step':
      return trans.__('Best step');
    case 'perplexity':
      return trans.__('Perplexity');
    case 'exact_match':
      return trans.__('Exact match, %');
    case 'everyday_kept':
      return trans.__('Everyday answers kept, %');
    case 'chrf':
      return 'chrF';
    case 'rouge_l':
      return 'ROUGE-L';
    default:
      return name;
  }
}

/** A value of a metric as people write it. */
export function metricValue(name: string, value: number, locale: string): string {
  switch (name) {
    case 'memory_bytes':
    case 'peak_bytes':
      return formatBytes(value, locale);
    case 'mfu':
    case 'parallel_efficiency':
    case 'communication_share':
    case 'load_balance':
    case 'slowest_rank_excess':
      return new Intl.NumberFormat(locale, { style: 'percent', maximumSignificantDigits: 3 }).format(value);
    case 'seconds':
      return formatDuration(value, locale);
    case 'steps':
    case 'tokens':
    case 'best_step':
    case 'slowest_rank':
      return formatCount(value, locale);
    case 'exact_match':
    case 'chrf':
    case 'rouge_l':
    case 'everyday_kept':
      return new Intl.NumberFormat(locale, { maximumFractionDigits: 1, minimumFractionDigits: 1 }).format(
        value
      );
    default:
      return formatMetric(value, locale);
  }
}

/** Metrics that are no curves of their own: they count what has passed, or follow from another curve. */
export const COUNTERS: ReadonlySet<string> = new Set([
  'tokens',
  'seconds',
  'epoch',
  'tokens_per_s_per_device',
  'load_balance',
  'slowest_rank',
  'slowest_rank_excess'
]);
