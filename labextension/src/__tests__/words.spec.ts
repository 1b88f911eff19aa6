import { parseJob } from '../api/answers';
import { PRACTICE_MODEL } from '../domain/models';
import { problemTitle } from '../domain/problems';
import { resultWords, shares } from '../domain/result';
import { isSameVersion } from '../domain/version';
import { amountWords, inARow, resumeWord, resumeWords } from '../domain/words';
import { ENGLISH } from './fake';
import { PYTHON } from './python';

const { trans } = ENGLISH;

function found(pattern: RegExp): string[] {
  return [...PYTHON.matchAll(pattern)].map(match => match[1]);
}

describe('problemTitle', () => {
  it('covers every error code but the base', () => {
    const codes = found(/^ {4}code = "([a-z-]+)"$/gm);
    expect(codes.length).toBeGreaterThan(20);
    const unknown = problemTitle('no-such-code', trans);
    expect(codes.filter(code => problemTitle(code, trans) === unknown)).toEqual([]);
  });
});

describe('PRACTICE_MODEL', () => {
  it('is what the Python side calls it', () => {
    expect(found(/^PRACTICE_REPO_ID: Final = "(.+)"$/gm)).toEqual([PRACTICE_MODEL]);
  });
});

describe('inARow', () => {
  it.each([
    [['One.', 'Two.'], 'One. Two.'],
    [['第一句。', '第二句。'], '第一句。第二句。'],
    [['', '文件夹不存在：', '/m'], '文件夹不存在：/m'],
    [['One.', ''], 'One.']
  ])('writes %j as %s', (sentences, row) => {
    expect(inARow(...sentences)).toBe(row);
  });
});

describe('amountWords', () => {
  it.each([
    [{ done: 5, total: null, unit: 'bytes' }, '5 B'],
    [{ done: 0, total: null, unit: 'bytes' }, ''],
    [{ done: 5e6, total: 2e9, unit: 'bytes' }, '5.0 MB of 2.0 GB'],
    [{ done: 3, total: 9, unit: 'steps', unit_words: 'steps' }, '3 of 9 steps'],
    [{ done: 3, total: null, unit: 'rows', unit_words: 'rows' }, '3 rows'],
    [{ done: 0, total: null, unit: 'files' }, '']
  ])('of %j is %s', (fields, words) => {
    const empty = { phase: '', phase_words: '', unit_words: '', rate: null, eta_s: null, detail: '' };
    const progress = { ...empty, ...fields };
    expect(amountWords(progress, ENGLISH)).toBe(words);
  });
});

describe('resultWords', () => {
  it('tell of a fine-tune', () => {
    const job = parseJob({
      id: 'j',
      result: { output_dir: 'runs/x', steps: 60, first_loss: 2.5, last_loss: 0.25 }
    });
    expect(resultWords(job, ENGLISH)).toEqual([
      ['Steps', '60'],
      ['Loss', '2.5 → 0.25, of single steps'],
      ['Folder', 'runs/x']
    ]);
  });

  it('tell of a fine-tune that runs what tells it from others, and the mean of its loss', () => {
    const job = parseJob({
      id: 'j',
      state: 'running',
      params: { config: { data: ['/home/me/a.jsonl', 'C:\\b.csv'], method: 'lora', output_dir: 'runs/x' } },
      averages: { loss: { first: 5.2231, last: 3.3601, over: 10 } }
    });
    expect(resultWords(job, ENGLISH)).toEqual([
      ['Data', 'a.jsonl, b.csv'],
      ['Method', 'lora'],
      ['Loss', '5.223 → 3.36, means of the first and the last 10 steps'],
      ['Folder', 'runs/x']
    ]);
  });

  it('say no method and no folder of an evaluation, which makes none', () => {
    const config = { data: ['/home/me/a.jsonl'], method: 'lora', output_dir: 'runs/x' };
    expect(resultWords(parseJob({ id: 'j', kind: 'evaluate', params: { config } }), ENGLISH)).toEqual([
      ['Data', 'a.jsonl']
    ]);
  });

  it('say that the practice model comes from this package, not from the hub that it is served as', () => {
    const params = { model_name: PRACTICE_MODEL };
    const told = (hub: string) => resultWords(parseJob({ id: 'j', params, result: { hub } }), ENGLISH);
    expect(told('modelscope')).toEqual([['Hub', 'this package']]);
    expect(told('')).toEqual([]);
  });

  it('say of a download that there was nothing to fetch', () => {
    const result = { bytes: 0, was_cached: true, hub: 'modelscope' };
    expect(resultWords(parseJob({ id: 'j', result }), ENGLISH)).toEqual([
      ['Model', 'Already in the cache, verified'],
      ['Hub', 'ModelScope']
    ]);
    const inPlace = { id: 'j', params: { in_place: true }, result: { bytes: 0, verified: true } };
    expect(resultWords(parseJob(inPlace), ENGLISH)).toEqual([['Model', 'Used where it is, verified']]);
    expect(resultWords(parseJob({ id: 'j', result: { bytes: 1e6 } }), ENGLISH)).toEqual([
      ['Received', '1.0 MB']
    ]);
  });
});

describe('resultWords of checks and repairs', () => {
  it.each([
    [{ ok: true, checked_bytes: 4e9, missing: [], wrong: [] }, ['Read 4.0 GB', 'Result Every file is right']],
    [{ ok: false, checked_bytes: 4e9, missing: ['a'], wrong: [] }, ['Read 4.0 GB']],
    [
      { ok: true, checked_bytes: 4e9, repaired: ['a', 'b'], bytes_fetched: 5e6 },
      ['Received 5.0 MB', 'Read 4.0 GB', 'Repaired a, b']
    ],
    [
      { bytes: 1e6, evicted: ['o/old', 'o/older'] },
      ['Received 1.0 MB', 'Deleted to make room o/old, o/older']
    ]
  ])('of %j are %j', (result, words) => {
    expect(resultWords(parseJob({ id: 'j', result }), ENGLISH).map(row => row.join(' '))).toEqual(words);
  });
});

describe('shares', () => {
  it('name every source and this disk, the largest first', () => {
    const sources = [
      { name: 'mirror 10.0.0.5:8900', bytes: 5 },
      { name: 'ModelScope', bytes: 20 },
      { name: 'Hugging Face', bytes: 0 }
    ];
    expect(shares(parseJob({ id: 'j', result: { sources, adopted: 8 } }), trans)).toEqual([
      { name: 'ModelScope', bytes: 20 },
      { name: 'This disk', bytes: 8 },
      { name: 'mirror 10.0.0.5:8900', bytes: 5 }
    ]);
    expect(shares(parseJob({ id: 'j' }), trans)).toEqual([]);
  });
});

describe('resumeWord', () => {
  it.each([
    [{ kind: 'download' }, 'Try again'],
    [{ kind: 'download', progress: { phase: 'resolving', done: 0 } }, 'Try again'],
    [{ kind: 'download', progress: { phase: 'transferring', done: 5, unit: 'bytes' } }, 'Resume'],
    [{ kind: 'finetune' }, 'Resume']
  ])('of %j is %s', (fields, word) => {
    const job = parseJob({ id: 'j', ...fields });
    expect(resumeWord(job, trans)).toBe(word);
    expect(resumeWords(job, 'o/n', trans).startsWith(word)).toBe(true);
  });
});

describe('isSameVersion', () => {
  it('knows how Python writes a version', () => {
    expect(isSameVersion('1.0.0a1', '1.0.0-alpha.1')).toBe(true);
    expect(isSameVersion('1.0.0', '1.0.0')).toBe(true);
    expect(isSameVersion('1.0.1', '1.0.0')).toBe(false);
  });
});
