/** The one place that talks to the server. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IProblem } from './answers';
import { parseProblem } from './answers';
import { BadAnswer, isRecord, text } from './read';

/** The root of our routes, below the server's base URL. */
const API_NAMESPACE = 'qwen3ft';

/** The server answered, but not as our server part does: it is not installed or not enabled. */
export const SERVER_MISSING = 'server-missing';

/** No answer at all. */
export const SERVER_UNREACHABLE = 'server-unreachable';

/** A failed request: what the server part says of it, or what can be told without it. */
export class ServerError extends Error implements IProblem {
  /**
   * @param status - The HTTP status, 0 where there was no answer.
   * @param problem - The code, the message and the hint.
   */
  constructor(
    readonly status: number,
    problem: IProblem
  ) {
    super(problem.message);
    this.name = 'ServerError';
    this.code = problem.code;
    this.hint = problem.hint;
  }

  readonly code: string;
  readonly hint: string;
}

/** Which server is asked, and in which language it answers. */
export interface IServer {
  /** The application's settings, which know the base URL, the token and the XSRF cookie. */
  readonly settings: ServerConnection.ISettings;
  /** For example `en` or `zh-CN`. */
  readonly locale: string;
}

/** How a request differs from a plain GET. */
export interface IRequestOptions {
  readonly method?: 'get' | 'post' | 'delete';
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** The tag of the answer that is known already: if that still holds, nothing is sent again. */
  readonly knownTag?: string;
  /** Gives up waiting; the server stops what it was doing for this request alone. */
  readonly signal?: AbortSignal;
}

/** What the server said. */
export interface IAnswer {
  /** The parsed JSON, null where there is no body. */
  readonly body: unknown;
  /** What tells this answer from others, empty where nothing does. */
  readonly tag: string;
  /** Whether it is the one that was known. */
  readonly isKnown: boolean;
}

/** The answer of a server to whom it was shown that the answer is known. */
const NOT_MODIFIED = 304;

/**
 * Ask our server part. To read is no activity: it never keeps an otherwise idle server from being culled.
 *
 * @param path - The route's segments; each is encoded.
 * @throws ServerError for a failure, BadAnswer for what is not JSON.
 */
export async function request(
  { settings, locale }: IServer,
  path: ReadonlyArray<string>,
  { method = 'get', query = {}, body, knownTag = '', signal }: IRequestOptions = {}
): Promise<IAnswer> {
  const asked = method === 'get' ? { ...query, no_track_activity: '1' } : query;
  const url =
    URLExt.join(settings.baseUrl, API_NAMESPACE, ...path.map(encodeURIComponent)) +
    (Object.keys(asked).length > 0 ? URLExt.objectToQueryString(asked) : '');
  const headers = new Headers(settings.init.headers);
  headers.set('Accept-Language', locale);
  if (knownTag !== '') {
    headers.set('If-None-Match', knownTag);
  }
  const init = { method: method.toUpperCase(), headers, body: body && JSON.stringify(body), signal };
  const response = await send(url, init, settings);
  const tag = response.headers.get('ETag') ?? '';
  if (response.status === NOT_MODIFIED) {
    return { body: null, tag, isKnown: true };
  }
  const answer = await read(response);
  if (!response.ok) {
    throw refusal(response.status, answer);
  }
  return { body: answer, tag, isKnown: false };
}

/** What went wrong, whatever was thrown. */
export function toProblem(error: unknown): IProblem {
  if (error instanceof ServerError) {
    return { code: error.code, message: error.message, hint: error.hint };
  }
  if (error instanceof BadAnswer) {
    return { code: 'bad-answer', message: error.what, hint: '' };
  }
  return { code: 'error', message: error instanceof Error ? error.message : '', hint: '' };
}

async function send(url: string, init: RequestInit, settings: ServerConnection.ISettings): Promise<Response> {
  try {
    return await ServerConnection.makeRequest(url, init, settings);
  } catch {
    // What a browser says of it ("Failed to fetch") is in no language of ours and of no help.
    throw new ServerError(0, { code: SERVER_UNREACHABLE, message: '', hint: '' });
  }
}

async function read(response: Response): Promise<unknown> {
  const body = await response.text();
  if (body === '') {
    return null;
  }
  try {
    return JSON.parse(body);
  } catch {
    // An error page of a proxy, or the server's own 404 page; but what went well is JSON, and no login page.
    return response.ok ? Promise.reject(new BadAnswer('JSON')) : null;
  }
}

function refusal(status: number, body: unknown): ServerError {
  if (isRecord(body) && typeof body.code === 'string') {
    return new ServerError(status, parseProblem(body));
  }
  const message = isRecord(body) ? text(body.message) : '';
  const code = status === 404 ? SERVER_MISSING : `http-${status}`;
  return new ServerError(status, { code, message, hint: '' });
}
