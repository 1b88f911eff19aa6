/** Where a form shows which field. A field that is not named here stands at the end, under what else there is. */

import type { TranslationBundle } from '@jupyterlab/translation';

/** The parts of Advanced, in order. */
export type Section =
  'learning' | 'batches' | 'adapter' | 'data' | 'measuring' | 'result' | 'machine' | 'origin' | 'other';

/** Fields that the form asks for up front, in a way of their own. */
export const UP_FRONT: ReadonlySet<string> = new Set(['model', 'data', 'preset', 'method', 'quantization']);

/** The fields of each section, in order; one that ends in a dot stands for a whole group. */
export const SECTIONS: Readonly<Record<Section, ReadonlyArray<string>>> = {
  learning: [
    'objective',
    'beta',
    'rpo_alpha',
    'label_smoothing',
    'epochs',
    'max_steps',
    'learning_rate',
    'schedule',
    'warmup_ratio',
    'weight_decay',
    'max_grad_norm',
    'seed'
  ],
  batches: ['max_length', 'batch_size', 'gradient_accumulation', 'auto_find_batch_size', 'packing'],
  adapter: ['lora.', 'trainable_layers'],
  data: ['data_format', 'columns.', 'skip_bad_rows', 'empty_think_loss'],
  measuring: [
    'eval_fraction',
    'eval_steps',
    'early_stopping',
    'load_best_model_at_end',
    'report',
    'prompts',
    'report_to'
  ],
  result: ['output_dir', 'overwrite', 'save_steps', 'save_minutes', 'keep_checkpoints'],
  machine: [
    'device',
    'devices',
    'sharding',
    'hosts',
    'hosts_address',
    'dtype',
    'attn_implementation',
    'activation_checkpointing',
    'launcher',
    'dlc.'
  ],
  origin: ['revision', 'init_from', 'from_run'],
  other: []
};

/** The section of a field, by its whole name. */
export function sectionOf(name: string): Section {
  const group = name.includes('.') ? `${name.split('.')[0]}.` : '';
  for (const [section, names] of Object.entries(SECTIONS)) {
    if (names.includes(name) || (group !== '' && names.includes(group))) {
      return section as Section; // its own key
    }
  }
  return 'other';
}

/** What a section is called. */
export function sectionTitle(section: Section, trans: TranslationBundle): string {
  switch (section) {
    case 'learning':
      return trans.__('Learning');
    case 'batches':
      return trans.__('Lengths and batches');
    case 'adapter':
      return trans.__('Adapter and layers');
    case 'data':
      return trans.__('How rows are read');
    case 'measuring':
      return trans.__('Measuring');
    case 'result':
      return trans.__('Result and checkpoints');
    case 'machine':
      return trans.__('Machine');
    case 'origin':
      return trans.__('Where it begins');
    case 'other':
      return trans.__('More');
  }
}
