import { readFileSync } from 'fs';
import { resolve } from 'path';

import type { Client } from '../api/client';
import { addressOf, FakeServer } from './fake';

const OPENAPI = readFileSync(resolve(__dirname, '../../../qwen3ft_jupyter/server/openapi.yaml'), 'utf8');

type Ask = (client: Client) => Promise<unknown>;

const SLUG = 'huggingface:o_n';

/** What each method asks for: the verb, the path, the query and the body. */
const ASKED: ReadonlyArray<readonly [string, Ask]> = [
  ['POST models/download {"model_name":"o/n"}', client => client.download('o/n')],
  [
    'POST models/download {"model_name":"o/n","revision":"v1","update":true}',
    client => client.download('o/n', { revision: 'v1', update: true })
  ],
  [
    'POST models/download {"model_name":"o/n","update":true,"dry_run":true}',
    client => client.plan('o/n', { update: true })
  ],
  ['POST models/cache/huggingface%3Ao_n/pin', client => client.pin(SLUG, true)],
  ['DELETE models/cache/huggingface%3Ao_n/pin', client => client.pin(SLUG, false)],
  ['POST models/cache/huggingface%3Ao_n/verify', client => client.verify(SLUG)],
  ['POST models/cache/huggingface%3Ao_n/repair', client => client.repair(SLUG)],
  ['DELETE models/cache/huggingface%3Ao_n', client => client.evict(SLUG)],
  ['DELETE models/cache/huggingface%3Ao_n?owner=huggingface', client => client.evict(SLUG, 'huggingface')],
  ['GET jobs?ids=j%2Ck&no_track_activity=1', client => client.someJobs(['j', 'k'])],
  ['DELETE jobs', client => client.forgetEnded()],
  ['DELETE jobs/j', client => client.forget('j')],
  ['DELETE jobs/j?there=true', client => client.forget('j', true)],
  ['GET jobs/j?metrics=false&no_track_activity=1', client => client.job('j')],
  ['GET jobs/j/metrics?after=7&no_track_activity=1', client => client.metrics('j', 7)],
  ['POST jobs/j/pause', client => client.pause('j')],
  ['POST jobs/j/resume', client => client.resume('j')],
  ['POST jobs/j/limit?max_speed=10000000', client => client.limit('j', 10e6)],
  ['POST jobs/j/limit?max_speed=0', client => client.limit('j', null)]
];

describe('the client', () => {
  it.each(ASKED)('asks %s', async (asked, ask) => {
    const server = new FakeServer();
    server.reply(asked.split(/[?{]/)[0].trim(), { id: 'j' });
    await ask(server.client);
    const [request] = server.requests;
    const body = await request.text();
    expect(`${request.method} ${addressOf(request)} ${body}`.trim()).toBe(asked);
  });

  it.each(ASKED.map(([asked]) => asked))('finds %s in the description of the routes', asked => {
    const [verb, path] = asked.split(/[ ?]/);
    const template = path.replace('huggingface%3Ao_n', '{slug}').replace(/\/j(?=\/|$)/, '/{id}');
    const described = OPENAPI.split(/^ {2}\//m).find(each => each.startsWith(`${template}:`));
    expect(described).toMatch(new RegExp(`^ {4}${verb.toLowerCase()}:$`, 'm'));
  });
});
