import { parseCache } from '../api/answers';
import { parseNews } from '../api/details';
import { checkedAt, mainCopy, updateOf } from '../domain/updates';
import { Updates } from '../state/updates';
import { eventually, FakeServer } from './fake';

const NEWS = [
  { model_name: 'o/a', slug: 'o_a', hub: 'modelscope', latest: 'new', checked: 5, problem: '' },
  { model_name: 'o/b', slug: 'o_b', hub: 'modelscope', latest: '', checked: null, problem: 'gone' }
];

const copy = (fields: Readonly<Record<string, unknown>>) =>
  parseCache({ models: [{ model_name: 'o/a', slug: 'o_a', commit: 'old', owner: 'qwen3ft', ...fields }] })
    .models[0];

describe('an update', () => {
  const news = parseNews({ models: NEWS });

  it('is there where the hub has another commit than the copy', () => {
    expect(updateOf(news, copy({}))?.latest).toBe('new');
  });

  it('is not there once the copy has that commit, of other copies, or where no hub said anything', () => {
    expect(updateOf(news, copy({ commit: 'new' }))).toBeNull();
    expect(updateOf(news, copy({ slug: 'o_a@v1' }))).toBeNull();
    expect(updateOf(news, copy({ owner: 'shared' }))).toBeNull();
    expect(updateOf(news, copy({ model_name: 'o/b', slug: 'o_b' }))).toBeNull();
    expect(updateOf([], copy({}))).toBeNull();
  });

  it('knows when hubs were asked last', () => {
    expect(checkedAt(news)).toBe(5);
    expect(checkedAt([])).toBeNull();
  });

  it('is of our main copy in the list of models', () => {
    const models = [
      { model_name: 'o/a', slug: 'o_a@v1', owner: 'qwen3ft' },
      { model_name: 'o/a', slug: 'o_a', owner: 'shared' },
      { model_name: 'o/a', slug: 'o_a', owner: 'qwen3ft', path: '/ours' }
    ];
    expect(mainCopy(parseCache({ models }), 'o/a')?.path).toBe('/ours');
    expect(mainCopy(null, 'o/a')).toBeNull();
  });
});

describe('the check', () => {
  let fake: FakeServer;
  let updates: Updates;
  let changes: number;

  beforeEach(() => {
    fake = new FakeServer();
    changes = 0;
    updates = new Updates({ client: fake.client, onChange: () => changes++ });
  });

  it('reads once what is remembered, and asks no hub for that', async () => {
    fake.reply('GET models/updates', { models: NEWS });
    await Promise.all([updates.load(), updates.load()]);
    expect(fake.asked).toEqual(['GET models/updates']);
    expect(updates.news).toHaveLength(2);
  });

  it('asks hubs when told to, one check at a time', async () => {
    const release = fake.hold('POST models/updates');
    const both = Promise.all([updates.check(), updates.check()]);
    await eventually(() => expect(updates.isChecking).toBe(true));
    release({ models: NEWS });
    await both;
    expect(fake.asked).toEqual(['POST models/updates']);
    expect([updates.isChecking, updates.news.length, updates.problem]).toEqual([false, 2, null]);
    expect(changes).toBeGreaterThan(1);
  });

  it('keeps what is known where it fails, and says why until that is read', async () => {
    fake.reply('GET models/updates', { models: NEWS });
    await updates.load();
    fake.reply(
      'POST models/updates',
      { code: 'hub-unreachable', message: 'No hub.', hint: 'Allow it.' },
      502
    );
    await updates.check();
    expect(updates.problem).toEqual({ code: 'hub-unreachable', message: 'No hub.', hint: 'Allow it.' });
    expect(updates.news).toHaveLength(2);
    updates.dismiss();
    expect(updates.problem).toBeNull();
  });

  it('is stopped without a problem', async () => {
    const release = fake.hold('POST models/updates');
    const checked = updates.check();
    updates.stop();
    release({ code: 'stopped' });
    await checked;
    expect([updates.isChecking, updates.problem]).toEqual([false, null]);
  });
});
