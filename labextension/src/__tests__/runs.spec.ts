import { parseJob } from '../api/answers';
import { parseDefaults, parsePushPlan, parseRun } from '../api/runs';
import { compareFields, written } from '../domain/fields';
import { followersOf } from '../domain/followers';
import { plannedAndActual } from '../domain/outcome';

const RECORD = {
  model: 'a/b',
  epochs: 2,
  lora: { r: 16, alpha: 32 },
  columns: {},
  made_by: 'qwen3ft-jupyter',
  run_id: 'one',
  plan: { steps: { total: 100, tokens: 5000 }, memory: { total: 2e9 }, seconds: null }
};

const run = (change = {}) =>
  parseRun({ folder: '/runs/first', record: RECORD, result: null, report: null, numbers: {}, ...change });

describe('a run', () => {
  it('has a config without what its record holds beside it', () => {
    expect(run().config).toEqual({ model: 'a/b', epochs: 2, lora: { r: 16, alpha: 32 }, columns: {} });
    expect(run().id).toBe('one');
  });

  it('is compared with its plan as far as it has come', () => {
    const one = { stride: 1, start: 0, lows: [], highs: [] };
    const curves = {
      version: 'a',
      last_step: 40,
      series: {
        tokens: { ...one, steps: [40], means: [2000] },
        memory_bytes: { ...one, steps: [10, 40], means: [3e9, 1e9] }
      }
    };
    expect(plannedAndActual(run(), curves)).toEqual([
      { name: 'steps', planned: 100, actual: 40 },
      { name: 'tokens', planned: 5000, actual: 2000 },
      { name: 'memory_bytes', planned: 2e9, actual: 3e9 }
    ]);
  });

  it('is compared with its plan by its result once it is finished', () => {
    const result = { steps: 90, tokens: 4500, seconds: 60, peak_bytes: 1e9 };
    expect(plannedAndActual(run({ result }), null).map(({ actual }) => actual)).toEqual([90, 4500, 60, 1e9]);
  });
});

describe('the fields of a config', () => {
  it('differ by value, groups by each of their fields', () => {
    const fields = compareFields(run().config, { model: 'a/b', epochs: 1, lora: { r: 8, alpha: 32 } });
    expect(fields.filter(({ differs }) => differs).map(({ name }) => name)).toEqual(['epochs', 'lora.r']);
  });

  it('are the same where one says nothing and the other says that it is nothing', () => {
    const fields = compareFields({ columns: {}, seed: null }, {});
    expect(fields.some(({ differs }) => differs)).toBe(false);
  });

  it('have the defaults that the schema names, also those of groups', () => {
    const schema = {
      properties: { epochs: { default: 1 }, lora: { $ref: '#/$defs/Lora' }, model: { type: 'string' } },
      $defs: { Lora: { properties: { r: { default: 16 } } } }
    };
    expect(parseDefaults(schema)).toEqual({ epochs: 1, lora: { r: 16 } });
  });

  it('are written as a config has them', () => {
    expect([null, '', false, 0, [1], {}].map(written)).toEqual(['', '', 'false', '0', '[1]', '']);
  });
});

describe('what followed a run', () => {
  const job = (id: string, kind: string, source: string, more = {}) =>
    parseJob({ id, kind, params: { source, ...more }, state: 'succeeded' });

  it('is what was made of its folder, and of what was made of that', () => {
    const jobs = [
      job('push', 'push', '/runs/first-merged'),
      job('other', 'export', '/runs/second'),
      job('merge', 'merge', '/runs/first', { output_dir: '/runs/first-merged' }),
      job('evaluate', 'evaluate', 'one'),
      job('one', 'finetune', '')
    ];
    expect(followersOf(jobs, 'one', '/runs/first').map(({ id }) => id)).toEqual([
      'push',
      'merge',
      'evaluate'
    ]);
  });
});

describe('the plan of a push', () => {
  it('is private unless the server says that it is not', () => {
    expect(parsePushPlan({}).private).toBe(true);
    expect(parsePushPlan({ private: false }).private).toBe(false);
  });
});
