import { parseCache, parseJob, parseMetrics, parseModels, parseStatus } from '../api/answers';
import { BadAnswer } from '../api/read';

describe('parseJob', () => {
  it('reads every field', () => {
    const job = parseJob({
      id: 'a',
      kind: 'download',
      title: 'Download x',
      state: 'running',
      state_words: 'Running',
      progress: {
        phase: 'transferring',
        phase_words: 'Downloading',
        done: 1,
        total: 4,
        unit: 'bytes',
        unit_words: '',
        rate: 2,
        eta_s: 3,
        detail: 'd'
      },
      notices: ['hub changed'],
      error: { code: 'no-space', message: 'm', hint: 'h' },
      result: { folder: 'f' },
      params: { model_name: 'o/n' },
      attempt: 2,
      created: 1,
      started: 2,
      updated: 3,
      ended: null,
      controls: { paused: true, max_speed: null }
    });
    expect(job.controls).toEqual({ paused: true, max_speed: null });
    expect(job.state).toBe('running');
    expect(job.state_words).toBe('Running');
    expect(job.progress).toMatchObject({ total: 4, phase_words: 'Downloading', unit_words: '' });
    expect(job.error).toEqual({ code: 'no-space', message: 'm', hint: 'h' });
    expect(job.ended).toBeNull();
  });

  it('needs an id and nothing else', () => {
    expect(parseJob({ id: 'a' })).toMatchObject({
      state: 'unknown',
      progress: null,
      params: {},
      attempt: 1,
      controls: null
    });
    expect(() => parseJob({ kind: 'download' })).toThrow(BadAnswer);
  });
});

describe('parseMetrics', () => {
  it('drops a loss that diverged, which the server sends as null', () => {
    const metrics = [
      { step: 1, loss: null },
      { step: 2, loss: 2.5 }
    ];
    expect(parseMetrics({ metrics, next_after: 9 })).toEqual({
      metrics: [{ step: 1 }, { step: 2, loss: 2.5 }],
      next_after: 9
    });
  });
});

describe('parseModels', () => {
  it('takes null where the catalogue knows nothing', () => {
    const [model] = parseModels({ models: [{ model_name: 'o/n', memory_bytes: null, catalogued: false }] });
    expect(model.memory_bytes).toEqual({ load: null, qlora: null, lora: null, full: null });
    expect(model.catalogued).toBe(false);
    expect(model.cached).toBe(false);
  });

  it('refuses a model without a name', () => {
    expect(() => parseModels({ models: [{ slug: 'x' }] })).toThrow('model name');
  });
});

describe('parseCache', () => {
  it('adds up the sizes where the server does not', () => {
    const cache = parseCache({
      models: [
        { model_name: 'a/b', slug: 'a_b', size: 2 },
        { model_name: 'c/d', slug: 'c_d', size: 3, hub: null }
      ]
    });
    expect(cache.total_size).toBe(5);
    expect(cache.models[1].hub).toBe('');
  });
});

describe('parseCache of a newer server', () => {
  const one = (fields: object) =>
    parseCache({ models: [{ model_name: 'a/b', slug: 'a_b', ...fields }] }).models[0];

  it('tells whose a copy is, and takes what it does not know for somebody else’s', () => {
    expect(one({}).owner).toBe('qwen3ft');
    expect(one({ shared: true }).owner).toBe('shared');
    expect(one({ owner: 'huggingface' }).owner).toBe('huggingface');
    expect(one({ owner: 'ollama' }).owner).toBe('folder');
  });

  it('reads the room there is', () => {
    const room = { quota: null, free: 7, incoming: 3 };
    expect(parseCache({ models: [], ...room })).toMatchObject(room);
    expect(parseCache({ models: [] })).toMatchObject({ quota: null, free: null, incoming: 0 });
  });
});

describe('parseStatus', () => {
  it.each([[null], ['text'], [[1]]])('refuses %p', value => {
    expect(() => parseStatus(value)).toThrow(BadAnswer);
  });
});
