import { expendable, fillOf, grouped, isHere, sorted } from '../domain/cache';
import { damageJobOf, isPaused, maintenanceOf, runningFirst } from '../domain/jobs';
import { parseCache, parseJobs } from '../api/answers';

const OURS = { model_name: 'o/n', slug: 'o_n', size: 5, commit: 'c0ffee', revision: 'master' };
const BESIDE = { ...OURS, slug: 'o_n@v1', commit: 'abc123', revision: 'v1' };
const THEIRS = { ...OURS, slug: 'huggingface:o_n', owner: 'huggingface', size: 7 };
const VERIFY = { id: 'v', kind: 'verify', state: 'succeeded', params: { model_name: 'o/n' } };
const DAMAGE = { ok: false, missing: ['a'], wrong: ['b'] };

const entries = (...models: object[]) => parseCache({ models }).models;
const jobs = (...given: object[]) => parseJobs({ jobs: given });

describe('grouped', () => {
  it('puts the revisions of a model together, the main one first, where the first of them stands', () => {
    const groups = grouped(entries(BESIDE, { ...OURS, model_name: 'x/y', slug: 'x_y' }, OURS));
    expect(groups.map(({ copies }) => copies.map(copy => copy.slug))).toEqual([['o_n', 'o_n@v1'], ['x_y']]);
  });

  it('is asked for what is here and what is elsewhere', () => {
    const shared = { ...OURS, shared: true };
    expect(entries(OURS, shared, THEIRS).map(isHere)).toEqual([true, true, false]);
  });
});

describe('sorted', () => {
  const groups = grouped(
    entries(
      { model_name: 'o/b', slug: 'o_b', size: 9, last_used: 2 },
      { model_name: 'o/c', slug: 'o_c', size: 5, last_used: 3 },
      { model_name: 'o/a', slug: 'o_a', size: 7 },
      { model_name: 'o/a', slug: 'o_a@v1', size: 7, last_used: 1 }
    )
  );
  const names = (order: 'used' | 'size' | 'name') => sorted(groups, order).map(group => group.modelName);

  it('goes by the latest use, by what all copies take, or by name', () => {
    expect(names('used')).toEqual(['o/c', 'o/b', 'o/a']);
    expect(names('size')).toEqual(['o/a', 'o/b', 'o/c']);
    expect(names('name')).toEqual(['o/a', 'o/b', 'o/c']);
  });
});

describe('expendable', () => {
  it('is our own and not pinned, what was used longest ago first', () => {
    const models = [
      { ...OURS, slug: 'late', last_used: 9 },
      { ...OURS, slug: 'kept', pinned: true },
      { ...OURS, slug: 'early', last_used: 1 },
      THEIRS
    ];
    expect(expendable(parseCache({ models })).map(each => each.slug)).toEqual(['early', 'late']);
  });
});

describe('runningFirst', () => {
  it('puts what a restart broke off before what has ended, and keeps the order otherwise', () => {
    const states = ['succeeded', 'interrupted', 'running', 'failed', 'queued'];
    const given = jobs(...states.map(state => ({ id: state, state })));
    expect(runningFirst(given).map(job => job.id)).toEqual([
      'running',
      'queued',
      'interrupted',
      'succeeded',
      'failed'
    ]);
  });
});

describe('fillOf', () => {
  const models = [OURS, THEIRS, { ...OURS, owner: 'shared', size: 9 }];

  it('counts only what takes room of ours', () => {
    expect(fillOf(parseCache({ models, incoming: 3, quota: 50, free: 10 }))).toEqual({
      models: 5,
      incoming: 3,
      whole: 50
    });
  });

  it('takes the volume where there is no quota, and nothing where nothing is known', () => {
    expect(fillOf(parseCache({ models, incoming: 3, free: 10 })).whole).toBe(18);
    expect(fillOf(parseCache({ models })).whole).toBeNull();
  });

  it('believes the server, which counts a file of two revisions once', () => {
    const fill = fillOf(parseCache({ models: [OURS, BESIDE], used: 9, incoming: 3, quota: 50 }));
    expect(fill).toEqual({ models: 6, incoming: 3, whole: 50 });
  });
});

describe('damageJobOf', () => {
  const [ours, beside, theirs] = entries(OURS, BESIDE, THEIRS);
  const damaged = { ...VERIFY, result: DAMAGE };

  it('is the check that found damage, of the copy that it read', () => {
    expect(damageJobOf(jobs(damaged), ours)?.id).toBe('v');
    expect(damageJobOf(jobs(damaged), beside)).toBeNull();
    expect(damageJobOf(jobs(damaged), theirs)).toBeNull();
    const ofBeside = { ...damaged, params: { model_name: 'o/n', revision: 'v1' } };
    expect(damageJobOf(jobs(ofBeside), beside)?.id).toBe('v');
    expect(damageJobOf(jobs(ofBeside), ours)).toBeNull();
  });

  it('finds the copy by its commit, or the first digits of it', () => {
    const [main, other] = entries({ ...OURS, commit: 'a'.repeat(40) }, { ...BESIDE, commit: 'b'.repeat(40) });
    const at = (revision: string) => jobs({ ...damaged, params: { model_name: 'o/n', revision } });
    for (const length of [40, 7]) {
      expect(damageJobOf(at('a'.repeat(length)), main)?.id).toBe('v');
      expect(damageJobOf(at('a'.repeat(length)), other)).toBeNull();
      expect(damageJobOf(at('b'.repeat(length)), main)).toBeNull();
      expect(damageJobOf(at('b'.repeat(length)), other)?.id).toBe('v');
    }
    expect(damageJobOf(at('aaa'), main)).toBeNull();
  });

  it('is none once something newer mended it; what failed or still runs mends nothing', () => {
    const repair = { ...VERIFY, id: 'r', kind: 'repair', result: { ok: true, repaired: ['a', 'b'] } };
    expect(damageJobOf(jobs(repair, damaged), ours)).toBeNull();
    expect(damageJobOf(jobs({ ...repair, kind: 'download', result: {} }, damaged), ours)).toBeNull();
    expect(damageJobOf(jobs({ ...repair, state: 'failed', result: null }, damaged), ours)?.id).toBe('v');
    expect(damageJobOf(jobs({ ...repair, state: 'running', result: null }, damaged), ours)?.id).toBe('v');
    expect(damageJobOf(jobs({ ...VERIFY, result: { ok: true } }), ours)).toBeNull();
    const found = { ...repair, kind: 'download', result: { was_cached: true } };
    expect(damageJobOf(jobs(found, damaged), ours)?.id).toBe('v');
  });
});

describe('maintenanceOf', () => {
  it('is the check or repair under way', () => {
    const [ours] = entries(OURS);
    const running = { ...VERIFY, state: 'running' };
    expect(maintenanceOf(jobs(VERIFY, running), ours)?.state).toBe('running');
    expect(maintenanceOf(jobs({ ...running, kind: 'download' }), ours)).toBeNull();
  });
});

describe('isPaused', () => {
  it('is told by the controls of a job that runs', () => {
    const paused = { ...VERIFY, state: 'running', controls: { paused: true, max_speed: null } };
    expect(jobs(paused, { ...paused, state: 'stopped' }, VERIFY).map(isPaused)).toEqual([true, false, false]);
  });
});
