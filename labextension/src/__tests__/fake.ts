/** A server of the kind that `fetch` meets, and a language, for the tests. */

import { ServerConnection } from '@jupyterlab/services';
import { nullTranslator } from '@jupyterlab/translation';

import { Client } from '../api/client';
import type { ILanguage } from '../domain/language';

export const ENGLISH: ILanguage = { trans: nullTranslator.load('qwen3ft_jupyter'), locale: 'en' };

/** The base URL has a prefix and a character that is encoded, as on JupyterHub. */
export const BASE_URL = 'http://127.0.0.1:9/user/a%40b/';

type Answer = { readonly status?: number; readonly json?: unknown; readonly text?: string };

/** A request's address below our routes, without the time stamp that JupyterLab puts against caches. */
export function addressOf(request: Request): string {
  return request.url.replace(`${BASE_URL}qwen3ft/`, '').replace(/[?&]\d+$/, '');
}

/** Answers requests and remembers them. */
export class FakeServer {
  /** Answers by method and path, for example `GET jobs`; what is missing is a 404 of the server itself. */
  readonly answers = new Map<string, () => Answer>();
  readonly requests: Request[] = [];

  readonly settings = ServerConnection.makeSettings({
    baseUrl: BASE_URL,
    fetch: async (input: RequestInfo | URL, init?: RequestInit) => {
      const request = new Request(input, init);
      await this.held.get(`${request.method} ${this.pathOf(request)}`);
      return this.answer(request);
    }
  });

  readonly server = { settings: this.settings, locale: 'zh-CN' };

  readonly client = new Client(this.server);

  /** What was asked for, in order: method, path and the query without the time stamp. */
  get asked(): string[] {
    return this.requests.map(request => `${request.method} ${this.pathOf(request)}`);
  }

  /** Answer the way the server does to those who know the answer already. */
  isRemembering = false;

  reply(route: string, json: unknown, status = 200): void {
    this.answers.set(route, () => ({ json, status }));
  }

  /** Let a route wait until the function that is returned is called with its answer. */
  hold(route: string): (json: unknown) => void {
    let release = (): void => undefined;
    this.held.set(route, new Promise<void>(resolve => (release = resolve)));
    return json => {
      this.reply(route, json);
      release();
    };
  }

  /** Answer everything that the panel looks at. */
  replyAll({
    jobs = [] as ReadonlyArray<Readonly<Record<string, unknown>>>,
    models = [] as unknown[],
    cached = [] as unknown[]
  } = {}): void {
    this.reply('GET status', { version: '0.1.0', hub: 'modelscope', settings: [], warnings: [] });
    this.reply('GET models', { models });
    this.reply('GET models/cache/list', {
      models: cached,
      total: cached.length,
      total_size: 5,
      cache_dir: '/c'
    });
    this.reply('GET jobs', { jobs });
    jobs.forEach(job => this.reply(`GET jobs/${String(job.id)}`, job));
  }

  private readonly held = new Map<string, Promise<void>>();

  private pathOf(request: Request): string {
    return request.url.split('?')[0].replace(`${BASE_URL}qwen3ft/`, '');
  }

  private answer(request: Request): Response {
    this.requests.push(request);
    const answer = this.answers.get(`${request.method} ${this.pathOf(request)}`);
    if (answer === undefined) {
      return new Response('<html>404</html>', { status: 404 });
    }
    const { status = 200, json, text } = answer();
    const body = text ?? JSON.stringify(json);
    const headers = this.isRemembering ? { ETag: `"${body}"` } : undefined;
    if (headers !== undefined && request.headers.get('If-None-Match') === headers.ETag) {
      return new Response(null, { status: 304, headers });
    }
    return new Response(status === 204 ? null : body, { status, headers });
  }
}

/** Wait until a claim holds; fails with the claim's own error when it never does. */
export async function eventually(claim: () => void, limitMs = 30_000): Promise<void> {
  const end = Date.now() + limitMs;
  for (;;) {
    try {
      return claim();
    } catch (error) {
      if (Date.now() > end) {
        throw error;
      }
      await new Promise(resolve => setTimeout(resolve, 10));
    }
  }
}

/** Tells of elements that come into sight and go out of it, as a browser that draws them does. */
export class FakeSight {
  constructor() {
    const { _callbacks: callbacks } = this;
    globalThis.IntersectionObserver = class extends this._browsers {
      constructor(private readonly _callback: IntersectionObserverCallback) {
        super(_callback);
      }
      override observe(): void {
        callbacks.set(this, entries => this._callback(entries, this));
      }
      override disconnect(): void {
        callbacks.delete(this);
      }
    };
  }

  /** Let everything that is looked at be in sight, or out of it. */
  tell(isIntersecting: boolean): void {
    this._callbacks.forEach(callback => callback([{ isIntersecting } as IntersectionObserverEntry]));
  }

  /** Tell no more. */
  dispose(): void {
    globalThis.IntersectionObserver = this._browsers;
  }

  private readonly _browsers = globalThis.IntersectionObserver;
  private readonly _callbacks = new Map<object, (entries: IntersectionObserverEntry[]) => void>();
}
