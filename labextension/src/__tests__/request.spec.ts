import { ServerConnection } from '@jupyterlab/services';

import { Client } from '../api/client';
import { request, SERVER_MISSING, SERVER_UNREACHABLE, ServerError } from '../api/request';
import { BASE_URL, FakeServer } from './fake';

async function failure(promise: Promise<unknown>): Promise<ServerError> {
  const error = await promise.then(
    () => null,
    reason => reason
  );
  expect(error).toBeInstanceOf(ServerError);
  return error;
}

describe('request', () => {
  it('asks below the base URL, with its prefix', async () => {
    const server = new FakeServer();
    server.reply('GET jobs', { jobs: [] });
    await server.client.jobs();
    expect(server.requests[0].url.startsWith(`${BASE_URL}qwen3ft/jobs?`)).toBe(true);
  });

  it('says of every look that it is no activity, and of no action', async () => {
    const server = new FakeServer();
    server.replyAll();
    server.reply('GET jobs/a/log', { text: '', next_offset: 0 });
    server.reply('POST jobs/a/stop', { id: 'a' });
    const { client } = server;
    await Promise.all([client.status(), client.models(), client.cache(), client.jobs(), client.log('a', 0)]);
    expect(
      server.requests.every(each => new URL(each.url).searchParams.get('no_track_activity') === '1')
    ).toBe(true);
    await client.stop('a');
    expect(server.requests[5].url).not.toContain('no_track_activity');
  });

  it('encodes what it puts into a path', async () => {
    const server = new FakeServer();
    await failure(request(server.server, ['jobs', 'a/../b?c']));
    expect(server.asked).toEqual(['GET jobs/a%2F..%2Fb%3Fc']);
  });

  it('carries code, message and hint of a refusal', async () => {
    const server = new FakeServer();
    server.reply('GET jobs', { code: 'hub-busy', message: 'm', hint: 'h' }, 503);
    expect(await failure(server.client.jobs())).toMatchObject({
      status: 503,
      code: 'hub-busy',
      message: 'm',
      hint: 'h'
    });
  });

  it('takes a 404 that is not ours for a missing server part', async () => {
    expect((await failure(new FakeServer().client.status())).code).toBe(SERVER_MISSING);
  });

  it('takes a 404 of ours for what it says', async () => {
    const server = new FakeServer();
    server.reply('GET jobs/a', { code: 'job-not-found', message: 'm', hint: '' }, 404);
    expect((await failure(server.client.job('a'))).code).toBe('job-not-found');
  });

  it('says that the server does not answer when it does not', async () => {
    const settings = ServerConnection.makeSettings({
      baseUrl: BASE_URL,
      fetch: () => Promise.reject(new TypeError('no route'))
    });
    expect((await failure(new Client({ settings, locale: 'en' }).jobs())).code).toBe(SERVER_UNREACHABLE);
  });

  it('names the language of the interface, beside what headers the application sends', async () => {
    const server = new FakeServer();
    const settings = { ...server.settings, init: { headers: { 'X-Of-The-Hub': 'yes' } } };
    await failure(new Client({ settings, locale: 'zh-CN' }).jobs());
    expect(server.requests[0].headers.get('Accept-Language')).toBe('zh-CN');
    expect(server.requests[0].headers.get('X-Of-The-Hub')).toBe('yes');
  });

  it('does not take the login page of a proxy for an answer', async () => {
    const server = new FakeServer();
    server.answers.set('POST jobs/a/stop', () => ({ text: '<html>Log in</html>' }));
    await expect(server.client.stop('a')).rejects.toThrow('JSON');
  });

  it('takes an answer without a body', async () => {
    const server = new FakeServer();
    server.reply('DELETE jobs/a', null, 204);
    await expect(server.client.forget('a')).resolves.toBeUndefined();
  });
});

describe('Client.evict', () => {
  it('never takes a folder called all for the whole cache', async () => {
    const server = new FakeServer();
    expect((await failure(server.client.evict('all'))).code).toBe('bad-name');
    expect(server.requests).toEqual([]);
  });
});
