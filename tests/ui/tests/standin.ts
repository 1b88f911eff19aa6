/** A server part that lives in the browser's network layer: for what a real one cannot be made to say at will. */

import type { Page, Route } from '@playwright/test';

const GB = 1e9;
const NOW = () => Date.now() / 1000;

type Fields = Record<string, unknown>;

function model(name: string, fields: Fields = {}): Fields {
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
    memory_bytes: { load: bytes * 1.2, lora: bytes * 1.9, full: bytes * 8 },
    cached: false,
    verified: false,
    size: null,
    job_id: null,
    catalogued: true,
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
    ...fields
  };
}

export function job(id: string, state: string, fields: Fields = {}): Fields {
  return {
    id,
    kind: 'download',
    title: '',
    state,
    progress: null,
    notices: [],
    error: null,
    result: null,
    created: NOW() - 100,
    started: NOW() - 95,
    updated: NOW(),
    ended: state === 'running' || state === 'queued' ? null : NOW() - 60,
    attempt: 1,
    params: { model_name: 'Qwen/Qwen3-4B' },
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
    cached('my-team/qwen3-support-bot', { verified: false, shared: true, size: 8.2 * GB, hub: '' })
  ];
  jobs: Fields[] = [
    job('download-1', 'running', {
      progress: {
        phase: 'transferring',
        done: 3.1 * GB,
        total: 8.06 * GB,
        unit: 'bytes',
        rate: 112e6,
        eta_s: 44,
        detail: '16 connections to ModelScope'
      }
    }),
    job('finetune-1', 'succeeded', {
      kind: 'finetune',
      params: { config: { model: 'Qwen/Qwen3-0.6B' } },
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
  requests: string[] = [];

  /** Answer for the server part from now on. */
  async install(page: Page): Promise<void> {
    await page.route(/\/qwen3ft\//, route => this.answer(route));
  }

  async answer(route: Route): Promise<void> {
    const url = new URL(route.request().url());
    const path = url.pathname.replace(/^.*\/qwen3ft\//, '');
    const method = route.request().method();
    this.requests.push(`${method} ${url.pathname}`);
    const found = this.found(method, path);
    await route.fulfill(
      found === null
        ? { status: 404, json: { code: 'job-not-found', message: 'There is no such job.', hint: '' } }
        : { status: found === '' ? 204 : 200, ...(found === '' ? {} : { json: found }) }
    );
  }

  private found(method: string, path: string): Fields | '' | null {
    const [, id, verb] = path.split('/');
    const one = this.jobs.find(each => each.id === id);
    switch (`${method} ${path}`) {
      case 'GET status':
        return {
          version: this.version,
          hub: 'modelscope',
          settings: [{ name: 'USE_MODELSCOPE', value: 'true', origin: 'default' }],
          warnings: this.warnings
        };
      case 'GET models':
        return { models: this.models };
      case 'GET models/cache/list':
        return {
          models: this.cached,
          total: this.cached.length,
          total_size: this.cached.reduce((sum, each) => sum + Number(each.size), 0),
          cache_dir: '/mnt/workspace/.cache/qwen3ft/models'
        };
      case 'GET jobs':
        return { jobs: this.jobs };
    }
    if (one === undefined) {
      return null;
    }
    if (verb === 'log') {
      const isStart = !this.requests.slice(0, -1).some(each => each.endsWith(`${id}/log`));
      return { text: isStart ? '2026-01-01 12:00:00 resolving Qwen/Qwen3-4B\n' : '', next_offset: 44 };
    }
    if (verb === 'stop') {
      one.state = 'stopped';
      one.ended = NOW();
    }
    if (method === 'DELETE') {
      this.jobs = this.jobs.filter(each => each !== one);
      return '';
    }
    return { ...one, metrics: one.kind === 'finetune' ? METRICS : [] };
  }
}
