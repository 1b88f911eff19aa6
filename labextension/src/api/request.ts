/** The one place that talks to the server. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IProblem } from './types';
import { isRecord, parseProblem } from './types';

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

/** How a request differs from a plain GET. */
export interface IRequestOptions {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** Made by a timer: it must not keep an otherwise idle server from being culled. */
  readonly isPoll?: boolean;
}

/**
 * Ask our server part.
 *
 * @param settings - The application's server settings, which know the base URL, the token and the XSRF cookie.
 * @param path - The route's segments; each is encoded.
 * @returns The parsed JSON of the answer, null where it has no body.
 * @throws ServerError for every failure.
 */
export async function request(
  settings: ServerConnection.ISettings,
  path: ReadonlyArray<string>,
  options: IRequestOptions = {}
): Promise<unknown> {
  const query = { ...options.query, ...(options.isPoll ? { no_track_activity: '1' } : {}) };
  const url =
    URLExt.join(settings.baseUrl, API_NAMESPACE, ...path.map(encodeURIComponent)) +
    (Object.keys(query).length > 0 ? URLExt.objectToQueryString(query) : '');
  const init: RequestInit = { method: options.method ?? 'GET' };
  if (options.body) {
    init.body = JSON.stringify(options.body);
  }
  const response = await send(url, init, settings);
  const body = await read(response);
  if (!response.ok) {
    throw refusal(response.status, body);
  }
  return body;
}

async function send(url: string, init: RequestInit, settings: ServerConnection.ISettings): Promise<Response> {
  try {
    return await ServerConnection.makeRequest(url, init, settings);
  } catch (error) {
    throw new ServerError(0, {
      code: SERVER_UNREACHABLE,
      message: error instanceof Error ? error.message : '',
      hint: ''
    });
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
    // An error page of a proxy, or the server's own 404 page.
    return null;
  }
}

function refusal(status: number, body: unknown): ServerError {
  if (isRecord(body) && typeof body.code === 'string') {
    return new ServerError(status, parseProblem(body));
  }
  const message = isRecord(body) && typeof body.message === 'string' ? body.message : '';
  const code = status === 404 ? SERVER_MISSING : `http-${status}`;
  return new ServerError(status, { code, message, hint: '' });
}
