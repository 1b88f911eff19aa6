import { readFileSync } from 'fs';
import { resolve } from 'path';

import { parseJob } from '../api/answers';
import { noteWords, PRACTICE_MODEL, roleWord } from '../domain/models';
import { sourceName } from '../domain/names';
import { problemWords } from '../domain/problems';
import { resultWords, shares } from '../domain/result';
import { isSameVersion } from '../domain/version';
import { amountWords, detailWords, jobTitle, phaseWord, resumeWord, resumeWords } from '../domain/words';
import { ENGLISH } from './fake';
import { PACKAGE, PYTHON } from './python';

const { trans } = ENGLISH;
const CATALOGUE = readFileSync(resolve(PACKAGE, 'catalog/models.toml'), 'utf8');

/** Whether a function translated what it was given, rather than passing it on. */
function isTranslated(speak: () => string): boolean {
  const spy = jest.spyOn(trans, '__');
  speak();
  const isCalled = spy.mock.calls.length > 0;
  spy.mockRestore();
  return isCalled;
}

function found(pattern: RegExp, text = PYTHON): string[] {
  return [...text.matchAll(pattern)].map(match => match[1]);
}

describe('the words for what the Python side says', () => {
  it('cover every error code but the base', () => {
    const codes = found(/^ {4}code = "([a-z-]+)"$/gm);
    expect(codes.length).toBeGreaterThan(20);
    const titleOf = (code: string) => problemWords({ code, message: '', hint: '' }, trans).title;
    const unknown = titleOf('no-such-code');
    expect(codes.filter(code => titleOf(code) === unknown)).toEqual([]);
  });

  it('cover every role and note of the catalogue', () => {
    const roles = found(/^role = "(.+)"$/gm, CATALOGUE);
    const notes = found(/^note = "(.+)"$/gm, CATALOGUE);
    roles.push(...found(/^ {8}"role": Message\("(.+)"\)/gm));
    notes.push(...found(/^ {8}"note": Message\("(.+)"\)/gm));
    expect(roles).toContain('practice');
    expect(roles.filter(role => !isTranslated(() => roleWord(role, trans)))).toEqual([]);
    expect(notes.filter(note => !isTranslated(() => noteWords(note, trans)))).toEqual([]);
  });

  it('cover every phase of a job', () => {
    const phases = found(/^ {4}"([a-z]+)": Phase\(/gm);
    expect(phases.length).toBeGreaterThan(8);
    expect(phases.filter(phase => !isTranslated(() => phaseWord(phase, trans)))).toEqual([]);
  });
});

describe('PRACTICE_MODEL', () => {
  it('is what the Python side calls it', () => {
    expect(found(/^PRACTICE_REPO_ID: Final = "(.+)"$/gm)).toEqual([PRACTICE_MODEL]);
  });
});

describe('jobTitle', () => {
  it.each([
    [{ kind: 'download', params: { model_name: 'o/n' } }, 'Download o/n'],
    [{ kind: 'verify', params: { model_name: 'o/n' } }, 'Verify o/n'],
    [{ kind: 'finetune', params: { config: { model: 'o/n' } } }, 'Fine-tune o/n'],
    [{ kind: 'download', params: { model_name: 'o/n', update: true } }, 'Update o/n'],
    [{ kind: 'repair', params: { model_name: 'o/n' } }, 'Repair o/n'],
    [{ kind: 'download', params: { model_name: 'o/n', revision: 'v1.1' } }, 'Download o/n (v1.1)'],
    [
      { kind: 'verify', params: { model_name: 'o/n', revision: 'c0ffee42'.repeat(5) } },
      'Verify o/n (c0ffee42)'
    ],
    [{ kind: 'verify', params: { model_name: 'o/n', revision: null } }, 'Verify o/n'],
    [{ kind: 'export', title: 'Export it', params: { model_name: 'o/n' } }, 'Export it'],
    [{ kind: 'finetune', title: 'Fine-tune' }, 'Fine-tune']
  ])('of %j is %s', (fields, title) => {
    expect(jobTitle(parseJob({ id: 'j', ...fields }), trans)).toBe(title);
  });
});

describe('amountWords', () => {
  it.each([
    [{ done: 5, total: null, unit: 'bytes' }, '5 B'],
    [{ done: 0, total: null, unit: 'bytes' }, ''],
    [{ done: 5e6, total: 2e9, unit: 'bytes' }, '5.0 MB of 2.0 GB'],
    [{ done: 3, total: 9, unit: 'steps' }, '3 of 9 steps'],
    [{ done: 0, total: null, unit: 'files' }, '']
  ])('of %j is %s', (fields, words) => {
    const progress = { phase: '', rate: null, eta_s: null, detail: '', ...fields };
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
      ['Loss', '2.5 → 0.25'],
      ['Folder', 'runs/x']
    ]);
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

describe('sourceName', () => {
  it('is in the language of the interface for every place on this disk', () => {
    const labels = found(/^ {4}"[a-z]+": Message\("(.+ cache|other folders)"\),$/gm);
    labels.push(...found(/^ANOTHER_TOOL: .* = Message\("(.+)"\)$/gm), 'mirror 10.0.0.5:8900');
    expect(labels.length).toBeGreaterThan(4);
    expect(labels.filter(label => !isTranslated(() => sourceName(label, trans)))).toEqual([]);
  });
});

describe('detailWords', () => {
  it.each([
    ['connections: 8 from ModelScope, 4 from Hugging Face', '12 connections: ModelScope 8 · Hugging Face 4'],
    ['connections: 1 from mirror 10.0.0.5:8900', '1 connection: mirror 10.0.0.5:8900 1'],
    ['connections: some from elsewhere', 'connections: some from elsewhere'],
    ['a.safetensors from the Hugging Face cache', 'a.safetensors from Hugging Face’s cache'],
    ['model.safetensors', 'model.safetensors'],
    ['', '']
  ])('of %j are %j', (detail, words) => {
    expect(detailWords(detail, trans)).toBe(words);
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
