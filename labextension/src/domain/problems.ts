/** The headings of errors; below them stands what the server says. */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IProblem } from '../api/answers';
import { SERVER_MISSING, SERVER_UNREACHABLE } from '../api/request';

/** What can be done about a problem: the server's own hint, or ours where no server has spoken. */
export function problemHint({ code, hint }: IProblem, trans: TranslationBundle): string {
  return code === SERVER_UNREACHABLE
    ? trans.__(
        'Is JupyterLab still running where it was started, and is this computer online? What runs there goes on, and this panel asks again by itself. After a restart of the server, reload the page.'
      )
    : hint;
}

/** A few words for an error code; the server's own message says the rest. */
export function problemTitle(code: string, trans: TranslationBundle): string {
  switch (code) {
    case SERVER_MISSING:
      return trans.__('The server part is missing');
    case 'old-server':
      return trans.__('The server part is older than this page');
    case SERVER_UNREACHABLE:
      return trans.__('The server does not answer');
    case 'http-401':
    case 'http-403':
    case 'forbidden':
      return trans.__('The server refused the request');
    case 'bad-answer':
      return trans.__('The server\u2019s answer cannot be used');
    case 'server-busy':
      return trans.__('The server is busy');
    case 'unknown-model':
      return trans.__('Qwen never published a model of that name');
    case 'bad-name':
      return trans.__('That is not a model name');
    case 'bad-input':
    case 'bad-request':
      return trans.__('The request is not understood');
    case 'bad-setting':
      return trans.__('A setting is wrong');
    case 'bad-config':
      return trans.__('The fine-tune settings are wrong');
    case 'bad-data':
      return trans.__('The data cannot be read');
    case 'model-not-found':
      return trans.__('The hub has no such model');
    case 'access-denied':
      return trans.__('The hub denies access');
    case 'model-gated':
      return trans.__('The model\u2019s licence has to be accepted first');
    case 'revision-not-found':
      return trans.__('The hub has no such revision');
    case 'hub-unreachable':
      return trans.__('The hub cannot be reached');
    case 'hub-busy':
      return trans.__('The hub is busy');
    case 'bad-listing':
    case 'hub-error':
      return trans.__('The hub\u2019s answer cannot be used');
    case 'transfer-error':
    case 'source-failed':
      return trans.__('The download broke off');
    case 'wrong-bytes':
      return trans.__('The bytes received are not the ones published');
    case 'no-space':
      // The volume, or the quota.
      return trans.__('There is not enough room');
    case 'not-cached':
      return trans.__('The model is not in the cache');
    case 'cache-error':
      return trans.__('The cache cannot be used');
    case 'cache-damaged':
      return trans.__('Files in the cache are damaged');
    case 'cache-not-writable':
      return trans.__('The cache folder cannot be written');
    case 'model-in-use':
      return trans.__('A running job uses the model');
    case 'does-not-fit':
      return trans.__('The model does not fit into memory');
    case 'unsafe-model':
      return trans.__('The model is not safe to load');
    case 'missing-package':
      return trans.__('A package is missing');
    case 'job-not-found':
      return trans.__('The job is gone');
    case 'wrong-job-state':
      return trans.__('The job cannot do that now');
    case 'load-error':
      return trans.__('The model cannot be loaded');
    case 'stopped':
      return trans.__('The job was stopped');
    case 'job-error':
    case 'job-failed':
      return trans.__('The job failed');
    default:
      return trans.__('Something went wrong');
  }
}
