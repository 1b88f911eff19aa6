/** A server part that lives in the browser's network layer: for what a real one cannot be made to say at will. */

import type { Page, Route } from '@playwright/test';

const GB = 1e9;
const NOW = () => Date.now() / 1000;

type Fields = Record<string, unknown>;

const KIND_WORDS: Record<string, string> = { hybrid: 'Thinks on demand', instruct: 'Instruct', base: 'Base' };

const VERBS: Record<string, string> = {
  download: 'Download',
  verify: 'Verify',
  repair: 'Repair',
  finetune: 'Fine-tune'
};

/** A text as a label begins. */
function label(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export function model(name: string, fields: Fields = {}): Fields {
  const bytes = Number(fields.download_bytes ?? 1.5 * GB);
  return {
    model_name: name,
    slug: name.replace('/', '_'),
    role: '',
    badge: '',
    kind: 'hybrid',
    note: '',
    license: 'apache-2.0',
    parameters: 6e8,
    context: 32768,
    download_bytes: bytes,
    memory_bytes: { load: bytes * 1.2, qlora: bytes * 1.4, lora: bytes * 1.9, full: bytes * 8 },
    cached: false,
    verified: false,
    size: null,
    job_id: null,
    catalogued: true,
    role_words: label(String(fields.role ?? '')),
    kind_words: KIND_WORDS[String(fields.kind ?? 'hybrid')] ?? 'Mixture of experts',
    ...fields
  };
}

export function cached(name: string, fields: Fields = {}): Fields {
  return {
    model_name: name,
    slug: name.replace('/', '_'),
    size: 1.5 * GB,
    path: `/mnt/workspace/models/${name.replace('/', '_')}`,
    hub: 'modelscope',
    commit: 'c0ffee',
    revision: 'master',
    created: NOW() - 86400,
    last_used: NOW() - 7200,
    pinned: false,
    verified: true,
    shared: false,
    owner: 'qwen3ft',
    owner_words: 'This cache',
    ...fields
  };
}

/** What a dry run answers: one file is here, one was begun, one is on this disk, the others travel. */
export function plan(name: string, fields: Fields = {}): Fields {
  const file = (path: string, size: number, action: string, source: string, bytes_to_fetch = 0) => ({
    path,
    size,
    action,
    source,
    bytes_to_fetch
  });
  return {
    model_name: name,
    hub: 'modelscope',
    revision: 'master',
    commit: '0badf00d0badf00d',
    is_update: false,
    files: [
      file('config.json', 726, 'kept', ''),
      file('tokenizer.json', 11e6, 'adopted', 'Hugging Face cache'),
      file('model-00001-of-00002.safetensors', 4e9, 'resumed', 'ModelScope', 1.2e9),
      file('model-00002-of-00002.safetensors', 4e9, 'fetched', 'ModelScope', 4e9)
    ],
    bytes_to_fetch: 5.2 * GB,
    bytes_reused: 2.8 * GB,
    room_bytes: 5.2 * GB,
    free_bytes: 120 * GB,
    missing_bytes: 0,
    quota: null,
    to_evict: [],
    evictable: [],
    sources: ['ModelScope', 'Hugging Face', 'mirror 10.0.0.5:8900'],
    rate: 108e6,
    seconds: 48,
    ...fields
  };
}

export function job(id: string, state: string, fields: Fields = {}): Fields {
  const { model_name, config } = { model_name: 'Qwen/Qwen3-4B', ...Object(fields.params) };
  return {
    id,
    kind: 'download',
    title: `${VERBS[String(fields.kind ?? 'download')]} ${config?.model ?? model_name}`,
    state,
    progress: null,
    notices: [],
    error: null,
    result: null,
    averages: {},
    ranks: null,
    created: NOW() - 100,
    started: NOW() - 95,
    updated: NOW(),
    ended: state === 'running' || state === 'queued' ? null : NOW() - 60,
    attempt: 1,
    params: { model_name: 'Qwen/Qwen3-4B' },
    controls: state === 'running' ? { paused: false, max_speed: null } : null,
    ...fields
  };
}

/** A loss that falls, with some noise that is the same each time. */
const METRICS = Array.from({ length: 60 }, (_, index) => ({
  step: index + 1,
  loss: 0.4 + 2.2 * Math.exp(-index / 14) + 0.08 * Math.sin(index * 2.3)
}));

/** What the stand-in knows; a test changes what it needs. */
export class Standin {
  version = '0.1.0';
  warnings: string[] = [];
  models: Fields[] = [
    model('Qwen/Qwen3-0.6B', { role: 'quick experiments', cached: true, verified: true, size: 1.5 * GB }),
    model('Qwen/Qwen3-1.7B', { parameters: 1.7e9, download_bytes: 4.1 * GB }),
    model('Qwen/Qwen3-4B', {
      parameters: 4e9,
      download_bytes: 8.06 * GB,
      role: 'recommended for production',
      note: 'A good balance of quality and speed on one card with 24 GB.'
    }),
    model('Qwen/Qwen3-8B', { parameters: 8.2e9, download_bytes: 16.4 * GB, role: 'higher quality' }),
    model('Qwen/Qwen3-4B-Instruct-2507', {
      parameters: 4e9,
      download_bytes: 8.06 * GB,
      kind: 'instruct',
      context: 262144
    }),
    model('Qwen/Qwen3-0.6B-Base', { kind: 'base', download_bytes: 1.2 * GB }),
    model('Qwen/Qwen3-30B-A3B', { kind: 'moe', parameters: 30.5e9, download_bytes: 61.1 * GB })
  ];
  cached: Fields[] = [
    cached('Qwen/Qwen3-0.6B'),
    cached('my-team/qwen3-support-bot', {
      verified: false,
      shared: true,
      owner: 'shared',
      owner_words: 'Shared',
      size: 8.2 * GB,
      hub: '',
      commit: '',
      revision: ''
    })
  ];
  quota: number | null = 50 * GB;
  free: number | null = 120 * GB;
  incoming = 3.1 * GB;
  /** What our models take, and what is incoming. */
  used = 4.6 * GB;
  /** The answer to a dry run. */
  plan: Fields = plan('Qwen/Qwen3-4B');
  /** The answer to a dry run of a move. */
  movePlan: Fields = {
    source: '/mnt/workspace/.cache/qwen3ft/models',
    target: '/data/models',
    folders: ['Qwen_Qwen3-0.6B', 'my-team_qwen3-support-bot'],
    size_bytes: 9.7 * GB,
    bytes_to_copy: 9.7 * GB,
    free_bytes: 120 * GB,
    missing_bytes: 0,
    stays: ['notes.txt'],
    origin: 'environment (MODEL_CACHE_DIR)'
  };
  jobs: Fields[] = [
    job('download-1', 'running', {
      progress: {
        phase: 'transferring',
        phase_words: 'Downloading',
        done: 3.1 * GB,
        total: 8.06 * GB,
        unit: 'bytes',
        unit_words: '',
        rate: 112e6,
        eta_s: 44,
        detail: 'connections: 12 from ModelScope, 4 from Hugging Face'
      }
    }),
    job('finetune-1', 'succeeded', {
      kind: 'finetune',
      params: {
        config: {
          model: 'Qwen/Qwen3-0.6B',
          data: ['tickets.jsonl'],
          method: 'lora',
          output_dir: 'runs/support-bot'
        }
      },
      averages: { loss: { first: 1.93, last: 0.44, over: 10 } },
      ranks: {
        metrics: { tokens_per_s: 4000, tokens_per_s_per_device: 2000, parallel_efficiency: 0.86 },
        ranks: [0, 1].map(rank => ({
          rank,
          host: '',
          device: `cuda:${rank}`,
          health: 'done',
          health_words: 'done',
          work: 0.5,
          busy: 0.86
        }))
      },
      result: { output_dir: 'runs/support-bot', steps: 60, first_loss: 2.61, last_loss: 0.41, seconds: 48 }
    }),
    job('download-0', 'failed', {
      params: { model_name: 'Qwen/Qwen3-8B' },
      error: {
        code: 'no-space',
        message: 'The cache needs 16.4 GB, 9.2 GB are free.',
        hint: 'Delete a model, or point MODEL_CACHE_DIR at a larger disk.'
      }
    })
  ];
  /** What hubs say of updates when they are asked, and what they said within a day. */
  news: Fields[] = [];
  remembered: Fields[] = [];
  /** What hubs and cache have as cards, by model. */
  cards: Record<string, Fields> = {};
  /** What is remembered of how fast sources were. */
  rates: Fields[] = [];
  /** The models that stay although all were to go, and why. */
  kept: string[] = [];
  /** What deleting a model leaves. */
  left: string[] = [];
  /** What is said in another language, by its English. */
  translations: Record<string, string> = {};
  /** The languages in which answers are asked for. */
  readonly languages = new Set<string>();
  requests: string[] = [];
  /** The requests that change something, or ask what a change would be: with their query and body. */
  asked: string[] = [];

  /** Answer for the server part from now on. */
  async install(page: Page): Promise<void> {
    await page.route(/\/qwen3ft\//, route => this.answer(route));
  }

  async answer(route: Route): Promise<void> {
    const url = new URL(route.request().url());
    const path = url.pathname
      .replace(/^.*\/qwen3ft\//, '')
      .split('/')
      .map(decodeURIComponent)
      .join('/');
    const method = route.request().method();
    if (path === 'models/name') {
      return route.continue(); // what a text means only the real server part knows
    }
    this.requests.push(`${method} ${url.pathname}`);
    this.languages.add(route.request().headers()['accept-language']);
    if (method !== 'GET') {
      // JupyterLab puts a time stamp against caches.
      const query = url.search.replace(/[?&]\d+$/, '');
      this.asked.push(`${method} ${path}${query} ${route.request().postData() ?? ''}`.trim());
      this.change(path.split('/'), method, url.searchParams);
    }
    const found = this.found(method, path, url.searchParams);
    await route.fulfill(
      found === null
        ? { status: 404, json: { code: 'job-not-found', message: 'There is no such job.', hint: '' } }
        : { status: found === '' ? 204 : 200, ...(found === '' ? {} : { json: this.said(found) }) }
    );
  }

  /** An answer in the language of the page. */
  private said(value: unknown): unknown {
    return JSON.parse(JSON.stringify(value), (_, each) => this.translations[each] ?? each);
  }

  /** A job with the words for its state. */
  private shown(one: Fields): Fields {
    const isPaused = (one.controls as Fields | null)?.paused === true;
    return { ...one, state_words: label(isPaused ? 'paused' : String(one.state)) };
  }

  /** Do what is asked for, so that the next look shows it. */
  private change([, , slug, verb]: string[], method: string, query: URLSearchParams): void {
    const entry = this.cached.find(each => each.slug === slug);
    if (entry === undefined) {
      return;
    }
    if (verb === 'pin') {
      entry.pinned = method === 'POST';
    } else if (verb !== undefined) {
      this.jobs = [
        job(`${verb}-1`, 'running', {
          kind: verb,
          params: { model_name: entry.model_name, revision: entry.commit }
        }),
        ...this.jobs
      ];
    } else if (entry.owner === 'qwen3ft' || query.get('owner') === entry.owner) {
      this.cached = this.cached.filter(each => each !== entry);
    }
  }

  /** The files of a model: those that are cached at once, others when a hub may be asked. */
  private details(query: URLSearchParams): Fields {
    const name = query.get('model_name');
    const copy = this.cached.find(each => each.model_name === name && each.owner === 'qwen3ft');
    const isKnown = copy !== undefined || query.get('ask') === 'true';
    const digest = (index: number) => String(index).repeat(64);
    const files = ['config.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    return {
      model_name: name,
      cached: copy !== undefined,
      hub: isKnown ? 'modelscope' : '',
      revision: isKnown ? 'master' : '',
      commit: String(copy?.commit ?? (isKnown ? '0badf00d' : '')),
      files: isKnown
        ? files.map((path, index) => ({
            path,
            size: 726 * 4e6 ** Math.min(index, 1),
            sha256: digest(index + 1),
            git_sha1: ''
          }))
        : null,
      sources: this.rates
    };
  }

  private found(method: string, path: string, query: URLSearchParams): Fields | '' | null {
    const ids = query.get('ids')?.split(',') ?? null;
    const [kind, ...rest] = path.split('/');
    const [id, verb] = kind === 'jobs' ? rest : [rest[1], rest[2]];
    const one = this.jobs.find(each => each.id === id);
    switch (`${method} ${path}`) {
      case 'GET status':
        return {
          version: this.version,
          hub: 'modelscope',
          settings: [{ name: 'USE_MODELSCOPE', value: 'true', origin: 'default' }],
          warnings: this.warnings
        };
      case 'GET machine':
        return { name: 'NVIDIA A10', total_bytes: 24e9 };
      case 'GET models':
        return { models: this.models };
      case 'GET models/cache/list':
        return {
          models: this.cached,
          total: this.cached.length,
          total_size: this.cached.reduce((sum, each) => sum + Number(each.size), 0),
          cache_dir: '/mnt/workspace/.cache/qwen3ft/models',
          quota: this.quota,
          free: this.free,
          used: this.used,
          incoming: this.incoming
        };
      case 'GET models/details':
        return this.details(query);
      case 'GET models/updates':
        return { models: this.remembered };
      case 'POST models/updates':
        this.remembered = this.news;
        return { models: this.news };
      case 'GET models/card':
        return {
          text: '',
          license: '',
          hub: '',
          ...this.cards[query.get('model_name') ?? ''],
          model_name: query.get('model_name')
        };
      case 'POST models/cache/move':
        if (this.asked.at(-1)?.includes('"dry_run":true')) {
          return this.movePlan;
        }
        this.jobs = [
          job('move-1', 'running', { kind: 'move', title: 'Move the cache → models', params: {} })
        ];
        return this.shown(this.jobs[0]);
      case 'POST models/download':
        return this.asked.at(-1)?.includes('"dry_run":true')
          ? this.plan
          : this.shown(this.jobs[0] ?? job('download-1', 'running'));
      case 'GET jobs':
        return {
          jobs: this.jobs
            .filter(each => ids === null || ids.includes(String(each.id)))
            .map(each => this.shown(each))
        };
      case 'DELETE jobs':
        this.jobs = this.jobs.filter(each => each.ended === null);
        return { forgotten: [] };
    }
    if (path.startsWith('models/cache/')) {
      return verb === undefined
        ? { evicted: [], freed: 0, left: this.left, kept: this.kept }
        : this.shown(this.jobs[0]);
    }
    if (one === undefined) {
      return null;
    }
    if (verb === 'pause' || verb === 'resume') {
      one.controls = { ...(one.controls as Fields), paused: verb === 'pause' };
    }
    if (verb === 'limit') {
      const limit = Number(/max_speed=(\d+)/.exec(this.asked.at(-1) ?? '')?.[1]);
      one.controls = { ...(one.controls as Fields), max_speed: limit || null };
    }
    if (verb === 'log') {
      const isStart = !this.requests.slice(0, -1).some(each => each.endsWith(`${id}/log`));
      return { text: isStart ? '2026-01-01 12:00:00 resolving Qwen/Qwen3-4B\n' : '', next_offset: 44 };
    }
    if (verb === 'metrics') {
      return { metrics: METRICS, next_after: METRICS.length };
    }
    if (verb === 'stop') {
      one.state = 'stopped';
      one.ended = NOW();
    }
    if (method === 'DELETE') {
      this.jobs = this.jobs.filter(each => each !== one);
      return '';
    }
    return this.shown(one);
  }
}

/** Where Hugging Face's own client keeps a model. */
export const THEIRS = '/home/ada/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/b968826d';

/** A stand-in with a copy that another tool keeps, and two revisions of one model. */
export function standinWithCopies(): Standin {
  const standin = new Standin();
  standin.cached.push(
    cached('Qwen/Qwen3-1.7B', { size: 4.1 * GB, commit: '70d244cc86cc' }),
    cached('Qwen/Qwen3-1.7B', {
      slug: 'Qwen_Qwen3-1.7B@0011aabbccdd',
      path: '/mnt/workspace/models/Qwen_Qwen3-1.7B@0011aabbccdd',
      size: 4.1 * GB,
      commit: '0011aabbccdd',
      revision: 'v1.0'
    }),
    cached('Qwen/Qwen3-8B', {
      slug: 'huggingface:Qwen_Qwen3-8B',
      owner: 'huggingface',
      owner_words: 'Hugging Face cache',
      verified: false,
      size: 16.4 * GB,
      path: THEIRS
    })
  );
  return standin;
}
