import { readFileSync } from 'fs';
import { resolve } from 'path';

import { fineTuneCells, jobCell } from '../notebook/cells';
import { jobIdOf } from '../notebook/place';
import { PRACTICE_MODEL } from '../domain/models';

const RECIPE = resolve(__dirname, '../../../qwen3ft_jupyter/practice/model.py');

/** The fields of the cell that starts the fine-tune, without remarks. */
function fieldsOf(modelName: string): Map<string, string> {
  const lines = fineTuneCells(modelName)[1].source.split('\n').slice(1);
  const pairs = lines.map(line => /^(\w+): ("[^"]*"|[^#]*?) *(?:#.*)?$/.exec(line) ?? []);
  return new Map(pairs.map(([, name, value]) => [name, value]));
}

describe('fineTuneCells', () => {
  it('give the practice model what the recipe says it learns well with', () => {
    const recipe = readFileSync(RECIPE, 'utf8').split('PRACTICE_FINETUNE: Final')[1].split('\n)\n')[0];
    const simple = [...recipe.matchAll(/^ {8}"(\w+)": ([^{\n]+),$/gm)]
      .map(([, name, value]) => [name, value.replace(/"/g, '')])
      .filter(([name]) => name !== 'seed'); // the customary one
    expect(simple.map(([name]) => name)).toContain('learning_rate');
    const fields = fieldsOf(PRACTICE_MODEL);
    for (const [name, value] of simple) {
      expect([name, fields.get(name)]).toEqual([name, value]);
    }
    expect(fields.get('data')).toBe('train.jsonl');
    expect(fields.get('output_dir')).toBe('runs/practice');
    expect(fields.get('overwrite')).toBe('true');
  });

  it('name a folder after any other model', () => {
    expect(fieldsOf('Qwen/Qwen3-0.6B').get('output_dir')).toBe('runs/Qwen3-0.6B');
    expect(fieldsOf('o/a: b #c').get('output_dir')).toBe('runs/a__b__c');
    expect(fieldsOf('Qwen/Qwen3-0.6B').has('overwrite')).toBe(false);
  });
});

describe('jobCell', () => {
  it('shows the job before it is run, and its code names the same job', () => {
    const cell = jobCell('20260102-030405-finetune-0001', 'Fine-tune a → b');
    const [output] = cell.outputs ?? [];
    expect(jobIdOf(output.data)).toBe('20260102-030405-finetune-0001');
    expect(cell.source).toContain('%qwen3ft jobs follow 20260102-030405-finetune-0001');
    expect(output.data['text/plain']).toBe('Fine-tune a → b · 20260102-030405-finetune-0001');
  });
});
