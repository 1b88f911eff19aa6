import { parseDownloadPlan } from '../api/answers';
import { PRACTICE_MODEL } from '../domain/models';
import { actionWords, hasRoom, isUpToDate, planWords } from '../domain/plan';
import { revisionWords } from '../domain/names';
import { ENGLISH } from './fake';

const FILE = {
  path: 'model.safetensors',
  size: 4e9,
  action: 'fetched',
  source: 'ModelScope',
  bytes_to_fetch: 4e9
};
const PLAN = {
  model_name: 'o/n',
  hub: 'modelscope',
  revision: 'master',
  commit: '0badf00d0badf00d',
  files: [FILE],
  bytes_to_fetch: 4e9,
  room_bytes: 4.3e9,
  free_bytes: 9e9,
  sources: ['ModelScope', 'mirror 10.0.0.5:8900'],
  rate: 1e8,
  seconds: 40
};

describe('parseDownloadPlan', () => {
  it('needs no field but its files’ to be objects', () => {
    expect(parseDownloadPlan({})).toMatchObject({
      files: [],
      missing_bytes: 0,
      free_bytes: null,
      rate: null
    });
    expect(() => parseDownloadPlan({ files: ['a'] })).toThrow('file of the plan');
    expect(() => parseDownloadPlan(null)).toThrow('plan');
  });

  it('reads what could be deleted as pairs and as objects', () => {
    const plan = parseDownloadPlan({ evictable: [['a/b', 5], { name: 'c/d', bytes: 6 }] });
    expect(plan.evictable).toEqual([
      { name: 'a/b', size: 5 },
      { name: 'c/d', size: 6 }
    ]);
  });

  it('knows a plan that changes nothing, and one that does not fit', () => {
    expect(isUpToDate(parseDownloadPlan({ files: [{ ...FILE, action: 'kept' }] }))).toBe(true);
    expect(isUpToDate(parseDownloadPlan({ files: [{ ...FILE, action: 'removed' }] }))).toBe(false);
    expect(hasRoom(parseDownloadPlan(PLAN))).toBe(true);
    expect(hasRoom(parseDownloadPlan({ ...PLAN, missing_bytes: 1 }))).toBe(false);
    expect(hasRoom(parseDownloadPlan({ ...PLAN, over_quota_bytes: 1 }))).toBe(false);
  });
});

describe('planWords', () => {
  const words = (fields: object) =>
    planWords(parseDownloadPlan({ ...PLAN, ...fields }), ENGLISH).map(row => row.join(': '));

  it('say that the practice model comes from no hub', () => {
    const told = words({ model_name: PRACTICE_MODEL, sources: ['ModelScope', 'this disk'] });
    expect(told).toContain('From: this package, this disk');
    expect(told).toContain('Hub: this package');
  });

  it('tell of the whole', () => {
    expect(words({})).toEqual([
      'To download: 4.0 GB',
      'From: ModelScope, mirror 10.0.0.5:8900',
      'Time: about 40 sec at 100 MB/s',
      'Room: 4.3 GB needed, 9.0 GB free',
      'Hub: ModelScope',
      'Revision: master 0badf00d'
    ]);
  });

  it('tell no time where nothing travels or nothing was measured', () => {
    expect(words({ bytes_to_fetch: 0, bytes_reused: 4e9, seconds: 0 }).slice(0, 3)).toEqual([
      'To download: 0 B',
      'On this disk already: 4.0 GB',
      'From: ModelScope, mirror 10.0.0.5:8900'
    ]);
    expect(words({ rate: null, seconds: null }).join()).not.toContain('Time');
  });
});

describe('actionWords', () => {
  it.each([
    [{ action: 'kept' }, 'Stays'],
    [{ action: 'adopted', source: 'Hugging Face cache' }, 'On this disk: Hugging Face cache'],
    [{ action: 'adopted', source: '' }, 'On this disk'],
    [{ action: 'resumed', bytes_to_fetch: 1.2e9 }, '1.2 GB left'],
    [{ action: 'fetched' }, 'Download'],
    [{ action: 'removed' }, 'Removed'],
    [{ action: 'painted' }, '']
  ])('of %j are %j', (fields, words) => {
    const [file] = parseDownloadPlan({ files: [{ ...FILE, ...fields }] }).files;
    expect(actionWords(file, ENGLISH)).toBe(words);
  });
});

describe('revisionWords', () => {
  it.each([
    ['master', '0badf00d0badf00d', 'master 0badf00d'],
    ['0badf00d', '0badf00d0badf00d', '0badf00d'],
    ['0badf00d0badf00d', '', '0badf00d0badf00d'],
    ['0badf00d'.repeat(5), '', '0badf00d'],
    ['', '0badf00d0badf00d', '0badf00d'],
    ['v1', '', 'v1'],
    ['', '', '']
  ])('of %j and %j are %j', (revision, commit, words) => {
    expect(revisionWords(revision, commit)).toBe(words);
  });
});
