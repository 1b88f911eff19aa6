import type { IModel } from '../api/answers';
import { parseModels } from '../api/answers';
import type { IFilter } from '../domain/filters';
import {
  activeParts,
  filtered,
  hidden,
  NO_FILTER,
  parametersOf,
  parseFilter,
  roleOf,
  rolesOf
} from '../domain/filters';
import { PRACTICE_MODEL } from '../domain/models';

/** The published models, with the parameters that the catalogue has for them, and some that it does not know. */
const MODELS = parseModels({
  models: [
    { model_name: 'Qwen/Qwen3-0.6B', kind: 'hybrid', parameters: 596_049_920, cached: true },
    { model_name: 'Qwen/Qwen3-1.7B', kind: 'hybrid', parameters: 1_720_574_976 },
    { model_name: 'Qwen/Qwen3-4B', kind: 'hybrid', parameters: 4_022_468_096 },
    { model_name: 'Qwen/Qwen3-8B', kind: 'hybrid', parameters: 8_190_735_360 },
    { model_name: 'Qwen/Qwen3-14B', kind: 'hybrid', parameters: 14_768_307_200 },
    { model_name: 'Qwen/Qwen3-32B', kind: 'hybrid', parameters: 32_762_123_264 },
    { model_name: 'Qwen/Qwen3-30B-A3B', kind: 'moe', parameters: 30_532_122_624 },
    { model_name: 'Qwen/Qwen3-4B-Instruct-2507', kind: 'instruct', parameters: 4_022_468_096 },
    { model_name: 'Qwen/Qwen3-4B-Thinking-2507', kind: 'thinking', parameters: 4_022_468_096 },
    { model_name: 'Qwen/Qwen3-30B-A3B-Instruct-2507', kind: 'moe', parameters: 30_532_122_624 },
    { model_name: 'Qwen/Qwen3-30B-A3B-Thinking-2507', kind: 'moe', parameters: 30_532_122_624 },
    { model_name: 'Qwen/Qwen3-30B-A3B-Base', kind: 'moe', parameters: 30_532_122_624 },
    { model_name: 'Qwen/Qwen3-0.6B-Base', kind: 'base', parameters: 596_049_920 },
    { model_name: PRACTICE_MODEL, catalogued: false },
    { model_name: 'Qwen/Qwen3-Embedding-8B', catalogued: false, cached: true },
    { model_name: 'me/support-bot', catalogued: false, cached: true }
  ]
});

function named(name: string, fields: Readonly<Record<string, unknown>> = {}): IModel {
  return parseModels({ models: [{ model_name: name, ...fields }] })[0];
}

function names(filter: Partial<IFilter>): ReadonlyArray<string> {
  return filtered(MODELS, { ...NO_FILTER, ...filter }, null).map(each =>
    each.model_name.replace(/^.*\/(Qwen3-)?/, '')
  );
}

describe('the sizes', () => {
  it('are as models are called: 4B has 4.02 billion, 14B has 14.77', () => {
    expect(names({ size: '1' })).toEqual(['0.6B', '0.6B-Base', 'Practice']);
    expect(names({ size: '4', role: 'hybrid' })).toEqual(['0.6B', '1.7B', '4B', 'Practice']);
    expect(names({ size: '14', role: 'hybrid' })).toEqual(['0.6B', '1.7B', '4B', '8B', '14B', 'Practice']);
  });

  it('count all experts of a mixture: all have to be in memory, although 3B of them compute', () => {
    expect(names({ size: 'more', role: 'hybrid' })).toEqual(['32B', '30B-A3B']);
    expect(names({ size: '4', role: 'thinking' })).toEqual(['4B-Thinking-2507']);
  });

  it('are read from the name where the catalogue does not know them, and what says nothing is of none', () => {
    expect(parametersOf(named('Qwen/Qwen3-Embedding-0.6B'))).toBe(6e8);
    expect(parametersOf(named('unsloth/Qwen3-30B-A3B-GGUF'))).toBe(30e9);
    expect(parametersOf(named('a/B2B-bot'))).toBeNull();
    for (const size of ['1', '4', '14', 'more'] as const) {
      expect(names({ size })).not.toContain('support-bot');
    }
    expect(names({ size: '14', role: 'embedding' })).toEqual(['Embedding-8B']);
  });
});

describe('the roles', () => {
  it('are those of the catalogue, and of a mixture of experts that of its name', () => {
    expect(names({ role: 'instruct' })).toEqual(['4B-Instruct-2507', '30B-A3B-Instruct-2507']);
    expect(names({ role: 'base' })).toEqual(['30B-A3B-Base', '0.6B-Base']);
  });

  it.each([
    ['Qwen/Qwen3-Coder-30B-A3B-Instruct', 'coder'],
    ['Qwen/Qwen3-Embedding-0.6B', 'embedding'],
    ['Qwen/Qwen3-Reranker-4B', 'reranker'],
    ['Qwen/Qwen3-VL-8B-Instruct', 'vision'],
    ['Qwen/Qwen3-Omni-30B-A3B-Instruct', 'vision'],
    ['Qwen/Qwen3Guard-Gen-8B', 'guard'],
    ['unsloth/Qwen3-8B-bnb-4bit', 'hybrid'],
    ['me/database', 'other'],
    ['me/support-bot', 'other'],
    [PRACTICE_MODEL, 'hybrid']
  ])('of %s is %s, by its name', (name, role) => {
    expect(roleOf(named(name))).toBe(role);
  });

  it('are offered where a model has them, and where one is chosen of which no model is left', () => {
    expect(rolesOf(MODELS, 'all')).toEqual([
      'all',
      'hybrid',
      'instruct',
      'thinking',
      'base',
      'embedding',
      'other'
    ]);
    expect(rolesOf([], 'coder')).toEqual(['all', 'coder']);
  });
});

describe('what hides a model', () => {
  it('is counted for each choice by itself', () => {
    const filter: IFilter = { kind: 'cached', size: 'more', role: 'all' };
    expect(filtered(MODELS, filter, null)).toEqual([]);
    expect(hidden(MODELS, filter, null)).toEqual([
      { part: 'kind', count: MODELS.length - 3 },
      { part: 'size', count: MODELS.length - 5 }
    ]);
    expect(activeParts(NO_FILTER)).toEqual([]);
    expect(filtered(MODELS, NO_FILTER, null)).toEqual(MODELS);
  });

  it('may be what a fine-tune needs of memory', () => {
    const large = named('Qwen/Qwen3-32B', { memory_bytes: { qlora: 90e9, lora: 99e9, full: 500e9 } });
    const machine = { name: 'NVIDIA A10', total_bytes: 24e9 };
    expect(filtered([large], { ...NO_FILTER, kind: 'fits' }, machine)).toEqual([]);
    expect(filtered([large], { ...NO_FILTER, kind: 'fits' }, null)).toEqual([large]);
  });
});

describe('what was kept of the choices', () => {
  it('is read as it was written', () => {
    const kept: IFilter = { kind: 'fits', size: '14', role: 'thinking' };
    expect(parseFilter(JSON.parse(JSON.stringify(kept)))).toEqual(kept);
  });

  it.each([undefined, null, 'x', [], { kind: 1, size: '3', role: 'poet' }])(
    'is everything where it is none: %j',
    value => {
      expect(parseFilter(value)).toEqual(NO_FILTER);
    }
  );
});
