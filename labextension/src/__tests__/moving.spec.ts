import { parseCache, parseJob } from '../api/answers';
import { parseMovePlan } from '../api/cache';
import { movedTo, movePairs, movingOf } from '../domain/moving';
import { resultWords } from '../domain/result';
import { ENGLISH } from './fake';

const CACHE = parseCache({ models: [], cache_dir: '/old', used: 0, incoming: 0 });
const RESULT = { source: '/old', target: '/new', moved: ['a_b'], left: [], bytes_copied: 2e9 };

function move(state: string, result: unknown = null) {
  return parseJob({ id: 'm', kind: 'move', state, result, params: { target: '/new' } });
}

const PLAN = parseMovePlan({
  source: '/old',
  target: '/new',
  folders: ['a_b', 'a_c'],
  size_bytes: 3e9,
  bytes_to_copy: 2e9,
  free_bytes: 9e9,
  missing_bytes: 0,
  stays: ['notes.txt'],
  origin: 'default'
});

describe('a move of the cache', () => {
  it('is under way until it has ended', () => {
    expect(movingOf([move('running')])?.id).toBe('m');
    expect(movingOf([move('succeeded', RESULT)])).toBeNull();
  });

  it('leaves a server that looks at the old place until it is told of the new one', () => {
    expect(movedTo([move('succeeded', RESULT)], CACHE)).toBe('/new');
    expect(movedTo([move('succeeded', RESULT)], { ...CACHE, cache_dir: '/new' })).toBe('');
    expect(movedTo([move('failed')], CACHE)).toBe('');
  });

  it('says what it copies and what stays', () => {
    expect(movePairs(PLAN, ENGLISH)).toEqual([
      ['From', '/old'],
      ['To', '/new'],
      ['Moves', '2 folders, 3.0 GB'],
      ['Copied', '2.0 GB; each file is read again before the old one is deleted'],
      ['Free there', '9.0 GB'],
      ['Not moved', 'notes.txt']
    ]);
  });

  it('copies nothing where renaming is enough', () => {
    expect(movePairs({ ...PLAN, bytes_to_copy: 0, stays: [] }, ENGLISH)).toContainEqual([
      'Copied',
      'Nothing: the folders are renamed'
    ]);
  });

  it('tells in its job where the cache is, and what is left to do', () => {
    expect(resultWords(move('succeeded', RESULT), ENGLISH)).toEqual([
      ['Folder', '/new'],
      ['Copied', '2.0 GB'],
      ['Next', 'Set MODEL_CACHE_DIR to this folder, and restart JupyterLab.']
    ]);
  });
});
