/** The pure parts of the form of a fine-tune, against the schema that the server really sends. */

import { readFileSync } from 'fs';
import { join } from 'path';

import type { IToken } from '../api/finetune';
import type { Json } from '../api/read';
import { json } from '../api/read';
import { changesFor, EMPTY, fromConfig, newDraft, toConfig, withValues } from '../finetune/draft';
import type { IField } from '../finetune/fields';
import { readFields } from '../finetune/fields';
import { keyOf, readOpening } from '../finetune/opening';
import { runsOf } from '../finetune/runs';
import { SECTIONS, sectionOf, UP_FRONT } from '../finetune/sections';
import { visible } from '../finetune/visible';

/** What `GET /finetune/schema` answers; a test of Python sees to it that this is true. */
const SCHEMA: Json = json(JSON.parse(readFileSync(join(__dirname, 'finetune.schema.json'), 'utf8')));

const FIELDS = readFields(SCHEMA);

const field = (name: string): IField => {
  const found = FIELDS.find(each => each.name === name);
  if (found === undefined) {
    throw new Error(name);
  }
  return found;
};

describe('the fields of the form', () => {
  it('are all that the server has, each in a section of its own', () => {
    const { properties } = SCHEMA;
    const groups = new Set(FIELDS.map(each => each.name.split('.')[0]));
    const without = Object.keys(json(properties)).filter(name => !groups.has(name));
    expect(without).toEqual([]);
    expect(FIELDS.filter(each => each.section === 'other' && !UP_FRONT.has(each.name))).toEqual([]);
  });

  it('are those that the sections name', () => {
    const named = Object.values(SECTIONS).flat();
    const unknown = named.filter(name =>
      name.endsWith('.')
        ? !FIELDS.some(each => each.name.startsWith(name))
        : !FIELDS.some(each => each.name === name)
    );
    expect(unknown).toEqual([]);
    expect(sectionOf('lora.r')).toBe('adapter');
    expect(sectionOf('brand_new')).toBe('other');
  });

  it('have title, help and unit', () => {
    expect(field('epochs')).toMatchObject({ title: 'Epochs', kind: 'number', unit: '' });
    expect(field('epochs').help).not.toBe('');
    expect(field('batch_size').unit).toBe('samples');
  });

  it.each([
    ['learning_rate', 'number'],
    ['overwrite', 'flag'],
    ['schedule', 'choice'],
    ['packing', 'choice'],
    ['activation_checkpointing', 'choice'],
    ['lora.targets', 'list'],
    ['columns.question', 'list'],
    ['report_to', 'list'],
    ['prompts', 'lines'],
    ['output_dir', 'text'],
    ['max_steps', 'number']
  ])('%s is filled in as %s', (name, kind) => {
    expect(field(name).kind).toBe(kind);
  });
});

describe('the config of a form', () => {
  it.each([
    ['learning_rate', '3e-3', { learning_rate: 0.003 }],
    ['epochs', ' 2 ', { epochs: 2 }],
    ['epochs', 'two', { epochs: 'two' }],
    ['epochs', '1e', { epochs: '1e' }],
    ['lora.r', '8', { lora: { r: 8 } }],
    ['lora.targets', 'all-linear', { lora: { targets: 'all-linear' } }],
    ['lora.targets', 'q_proj, v_proj', { lora: { targets: ['q_proj', 'v_proj'] } }],
    ['packing', 'false', { packing: false }],
    ['packing', 'auto', { packing: 'auto' }],
    ['columns.answer', 'solution', { columns: { answer: ['solution'] } }],
    ['report_to', 'wandb', { report_to: ['wandb'] }],
    ['prompts', 'Hello, you?\nAnd you?', { prompts: ['Hello, you?', 'And you?'] }],
    ['output_dir', 'runs/1', { output_dir: 'runs/1' }]
  ])('%s typed as %j', (name, typed, config) => {
    const draft = withValues(EMPTY, { [name]: typed });
    expect(toConfig(draft, FIELDS)).toEqual(config);
    expect(toConfig(fromConfig(config, FIELDS, ''), FIELDS)).toEqual(config);
  });

  it('keeps what has no place in the form', () => {
    const config = { model: 'a/b', bogus: [1], lora: { r: 4, nonsense: 1 }, init_from: null };
    const draft = fromConfig(config, FIELDS, 'a.yaml');
    expect(draft.rest).toEqual({ bogus: [1], lora: { nonsense: 1 } });
    expect(draft.path).toBe('a.yaml');
    expect(toConfig(draft, FIELDS)).toEqual({ model: 'a/b', bogus: [1], lora: { r: 4, nonsense: 1 } });
  });

  it('of one file is the same as of a list of one', () => {
    expect(fromConfig({ data: 'a.jsonl' }, FIELDS, '').values.data).toEqual(['a.jsonl']);
  });

  it('leaves out what is empty', () => {
    const draft = withValues(withValues(EMPTY, { epochs: '2', data: ['a'] }), { epochs: '', data: [] });
    expect(draft.values).toEqual({});
  });

  it('begins balanced, for the practice model with what it learns well with, for texts with what reads them', () => {
    expect(newDraft('Qwen/Qwen3-0.6B', ['a.jsonl']).values).toMatchObject({
      preset: 'balanced',
      method: 'lora'
    });
    expect(newDraft('qwen3ft/Qwen3-Practice', []).values).toMatchObject({ epochs: '12' });
    const draft = newDraft('Qwen/Qwen3-0.6B', []);
    const practice = withValues(draft, changesFor(draft, 'qwen3ft/Qwen3-Practice'));
    expect(practice).toEqual(newDraft('qwen3ft/Qwen3-Practice', []));
    expect(withValues(practice, changesFor(practice, 'Qwen/Qwen3-0.6B'))).toEqual(draft);
    const own = withValues(draft, { epochs: '2' });
    expect(changesFor(own, 'qwen3ft/Qwen3-Practice')).toEqual({ model: 'qwen3ft/Qwen3-Practice' });
    expect(newDraft('', ['a.txt', 'b.TXT']).values).toMatchObject({ objective: 'pretrain' });
    expect(newDraft('', ['a.txt', 'b.csv']).values.objective).toBeUndefined();
  });
});

describe('the opening of a form', () => {
  it('with the same is the same form, and a blank one is always new', () => {
    expect(keyOf(readOpening({ data: 'a.jsonl' }))).toBe(keyOf(readOpening({ data: ['a.jsonl'] })));
    expect(keyOf(readOpening({ path: 'a.yaml' }))).not.toBe(keyOf(readOpening({ data: 'a.yaml' })));
    expect(keyOf(readOpening({ cwd: '', isLauncher: true }))).toBe('');
  });

  it('takes up what was kept, whatever that was written by', () => {
    const kept = {
      values: { epochs: '2', report: false, data: ['a'], strange: { a: 1 } },
      rest: 'x',
      path: 1
    };
    expect(readOpening({ key: 'k', draft: JSON.parse(JSON.stringify(kept)) }).draft).toEqual({
      values: { epochs: '2', report: false, data: ['a'] },
      rest: {},
      path: '1',
      jobId: ''
    });
  });
});

describe('strange text', () => {
  it.each([
    ['\u001b[31mred', '⟨ESC⟩[31mred'],
    ['a\u202eb\u200f', 'a⟨RLO⟩b⟨RLM⟩'],
    ['one\r\ntwo\tx', 'one⟨CR⟩↵\ntwo⇥x'],
    ['\ufeff\u0000\u0085', '⟨BOM⟩⟨NUL⟩⟨U+0085⟩'],
    ['<img onerror=1> 你好 👩‍👩‍👧 עברית', '<img onerror=1> 你好 👩‍👩‍👧 עברית']
  ])('%j is seen', (given, shown) => {
    expect(visible(given)).toBe(shown);
  });
});

it('tokens that are learned and those that are not come in turns', () => {
  const token = (text: string, is_learned: boolean): IToken => ({ id: 1, text, is_learned });
  const runs = runsOf([token('a', false), token('b', false), token('c', true), token('d', false)]);
  expect(runs.map(run => run.map(each => each.text).join(''))).toEqual(['ab', 'c', 'd']);
});
