import { Sanitizer } from '@jupyterlab/apputils';

import type { IJob } from '../api/answers';
import { parseCache, parseJob } from '../api/answers';
import { readArgs } from '../playground/args';
import { cachedChoices, choiceKey, labelOf, tunedChoices } from '../playground/choices';
import { EMPTY_FORM, isUsable, optionsOf, ownValue, readForm, sidesOf } from '../playground/form';
import { fetchingNothing, plainMarkdown } from '../playground/markup';
import { afterMessage, NOTHING } from '../playground/protocol';
import { splitThinking } from '../playground/thinking';

describe('reasoning', () => {
  it.each([
    ['plain', { thought: null, answer: 'plain', isThinking: false }],
    ['<think>\n\n</think>\n\nYes.', { thought: null, answer: 'Yes.', isThinking: false }],
    ['<think>\nhm\n</think>\n\nYes.', { thought: 'hm', answer: 'Yes.', isThinking: false }],
    ['<think>\nhm', { thought: 'hm', answer: '', isThinking: true }],
    ['<thi', { thought: null, answer: '', isThinking: false }],
    ['hm</think>Yes.', { thought: 'hm', answer: 'Yes.', isThinking: false }],
    ['', { thought: null, answer: '', isThinking: false }],
    ['a < b', { thought: null, answer: 'a < b', isThinking: false }]
  ])('is parted from the answer: %j', (text, parts) => {
    expect(splitThinking(text)).toEqual(parts);
  });
});

describe('what a model wrote', () => {
  it.each([
    ['<img src=x onerror=1>', '&lt;img src=x onerror=1>'],
    ['`<b>` and <b>', '`<b>` and &lt;b>'],
    ['```html\n<b>\n```\n<i>', '```html\n<b>\n```\n&lt;i>'],
    ['~~~~\n<b>\n~~~\n<b>\n~~~~~\n<i>', '~~~~\n<b>\n~~~\n<b>\n~~~~~\n&lt;i>'],
    ['``a ` <b>`` <i>', '``a ` <b>`` &lt;i>'],
    ['a ` <b>', 'a ` &lt;b>'],
    ['![x](http://stranger/track.png)', '\\![x](http://stranger/track.png)'],
    ['**bold** $a<b$', '**bold** $a&lt;b$']
  ])('has no HTML and fetches nothing: %j', (source, plain) => {
    expect(plainMarkdown(source)).toBe(plain);
  });
});

describe('what is drawn of it', () => {
  const { sanitize } = fetchingNothing(new Sanitizer());

  it.each([
    '<p>a <img src="http://stranger/track.png"> b</p>',
    '<p>a <img src="//stranger/track.png"> b</p>',
    '<p>a <input type="image" src="http://stranger/x"> b</p>',
    '<p>a <audio><source src="http://stranger/x"></audio> b</p>',
    '<p>a <video src="http://stranger/x" poster="http://stranger/y"></video> b</p>',
    '<p>a <span style="background: url(http://stranger/x)"></span> b</p>',
    '<p>a <script src="http://stranger/x"></script> b</p>'
  ])('asks no stranger, whatever the parser made of it: %s', dirty => {
    expect(sanitize(dirty)).toMatch(/^<p>a .*b<\/p>$/);
    expect(sanitize(dirty)).not.toContain('stranger');
  });

  it('has links, code, tables and the diagrams of JupyterLab', () => {
    const clean =
      '<p><a href="http://a.b/">a</a> <code>x</code> <img src="data:image/svg+xml,%3Csvg/%3E" alt="d" /></p>';
    expect(sanitize(clean)).toContain('href="http://a.b/"');
    expect(sanitize(clean)).toContain('<code>x</code>');
    expect(sanitize(clean)).toContain('data:image/svg+xml');
  });
});

describe('the form', () => {
  it('gives the kernel what is typed, also what that will refuse', () => {
    const form = { ...EMPTY_FORM, temperature: '0.5', top_p: 'much', seed: ' ', max_new_tokens: '-12' };
    expect(optionsOf(form)).toEqual({
      thinking: false,
      temperature: 0.5,
      top_p: 'much',
      max_new_tokens: -12
    });
  });

  it.each([
    ['temperature', '0', true],
    ['temperature', '-1', false],
    ['temperature', 'warm', false],
    ['top_p', '0', false],
    ['top_p', '1', true],
    ['top_k', '1.5', false],
    ['max_new_tokens', '0', false],
    ['seed', '4294967295', true],
    ['seed', '4294967296', false],
    ['seed', '', true]
  ] as const)('knows whether %s can be %j', (name, typed, usable) => {
    expect(isUsable(name, typed)).toBe(usable);
  });

  it('shows the model’s own numbers', () => {
    const sampling = { temperature: 0.6000000238418579, top_p: 0.95, top_k: 20, max_new_tokens: 512 };
    expect(ownValue('temperature', sampling)).toBe('0.6');
    expect(ownValue('seed', sampling)).toBe('');
  });

  it('comes back as it was kept, whatever was kept', () => {
    const form = { ...EMPTY_FORM, system: 'Be brief.', sides: 'base', seed: '3' } as const;
    expect(readForm(JSON.parse(JSON.stringify(form)))).toEqual(form);
    expect(readForm({ sides: 'all', seed: [] })).toEqual(EMPTY_FORM);
    expect(sidesOf(form)).toEqual(['base']);
    expect(sidesOf(EMPTY_FORM)).toEqual(['base', 'tuned']);
  });
});

describe('what is opened', () => {
  it('has a key of its own that outlives a change of the model', () => {
    const opened = readArgs({ model: 'a/b', adapter: 'run-1' });
    expect(opened.key).toBe('a/b|run-1');
    expect(readArgs({ ...opened, model: 'c/d', adapter: '' }).key).toBe('a/b|run-1');
    expect(readArgs(undefined).key).toBe('empty');
  });

  const job = (fields: object): IJob =>
    parseJob({ id: 'run-1', kind: 'finetune', state: 'succeeded', ...fields });

  it('is a model on this disk, or a fine-tune with a result, by the name of its folder', () => {
    const models = [
      { model_name: 'a/b', slug: 'a_b' },
      { model_name: 'a/b', slug: 'a_b@1' }
    ];
    expect(cachedChoices(parseCache({ models })).map(each => each.model)).toEqual(['a/b']);
    const runs = tunedChoices([
      job({ params: { config: { model: 'a/b', output_dir: '/w/runs/kitten/' } } }),
      job({ id: 'run-2', state: 'failed' }),
      job({ id: 'run-3', kind: 'merge' })
    ]);
    expect(runs).toEqual([{ model: 'a/b', adapter: 'run-1', label: 'kitten · a/b' }]);
    expect(labelOf({ model: 'a/b', adapter: 'run-1' }, runs)).toBe('kitten · a/b');
    expect(labelOf({ model: 'a/b', adapter: '/w/other' }, runs)).toBe('other');
    expect(choiceKey({ model: '', adapter: '' })).toBe('');
  });
});

describe('what the kernel says', () => {
  const reply = { text: 'He', tokens: 1, seconds: 0.1, end: '', error: null };
  const state = { type: 'state', phase: 'answering', turns: [{ question: 'Hi', replies: { base: reply } }] };

  it('adds up', () => {
    const told = afterMessage(NOTHING, state);
    const text = { type: 'text', side: 'base', text: 'llo', tokens: 2, seconds: 0.2 };
    const after = afterMessage(told, text);
    expect(after.turns[0].replies.base).toEqual({ ...reply, text: 'Hello', tokens: 2, seconds: 0.2 });
    expect(told.turns[0].replies.base?.text).toBe('He');
  });

  it('may be anything', () => {
    const told = afterMessage(NOTHING, state);
    for (const message of [null, 5, {}, { type: 'text', side: 'tuned', text: 'x' }, { type: 'text' }]) {
      expect(afterMessage(told, message)).toBe(told);
    }
    const odd = { type: 'state', phase: 7, turns: [3, { replies: { base: 1 } }], model: 'x', error: 5 };
    expect(afterMessage(told, odd)).toEqual({
      ...NOTHING,
      turns: [3, 4].map(() => ({ question: '', replies: {}, system: '', options: {} }))
    });
  });
});
