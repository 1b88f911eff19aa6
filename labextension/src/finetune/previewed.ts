/** On which fields it depends what the model will see. Pure. */

import type { Json } from '../api/read';

/** Fields on which a preview does not depend. */
const NOT_OF_PREVIEW: ReadonlySet<string> = new Set([
  'preset',
  'method',
  'quantization',
  'output_dir',
  'overwrite',
  'epochs',
  'max_steps',
  'learning_rate',
  'schedule',
  'warmup_ratio',
  'weight_decay',
  'max_grad_norm',
  'batch_size',
  'gradient_accumulation',
  'auto_find_batch_size',
  'packing',
  'trainable_layers',
  'lora',
  'report',
  'report_to',
  'prompts',
  'save_steps',
  'save_minutes',
  'keep_checkpoints',
  'eval_steps',
  'early_stopping',
  'load_best_model_at_end',
  'device',
  'dtype',
  'attn_implementation',
  'activation_checkpointing',
  'beta',
  'rpo_alpha',
  'label_smoothing'
]);

/** The fields of a config on which a preview depends. */
export function ofPreview(config: Json): Json {
  return Object.fromEntries(
    Object.entries(config).filter(
      ([name]) => !NOT_OF_PREVIEW.has(name) && !NOT_OF_PREVIEW.has(name.split('.')[0])
    )
  );
}
