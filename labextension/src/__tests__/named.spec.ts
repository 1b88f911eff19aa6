import { isAddress, isParticular, optionsOf } from '../domain/named';
import { FakeServer } from './fake';

describe('a text', () => {
  it.each([
    ['Qwen/Qwen3-8B', true],
    ['https://modelscope.cn/models/Qwen/Qwen3-8B', true],
    ['ms:Qwen3', true],
    ['Ｑｗｅｎ／Ｑｗｅｎ３', true],
    ['qwen 8b', false],
    ['Qwen/', false],
    ['/', false],
    ['', false]
  ])('is a name or an address, or words to filter by: %j', (text, expected) => {
    expect(isAddress(text)).toBe(expected);
  });

  it('is asked of the server as it was written', async () => {
    const fake = new FakeServer();
    fake.reply('GET models/name', { model_name: 'o/a', revision: 'v1' });
    expect(await fake.client.readName('hf.co/o/a/tree/v1')).toEqual({
      model_name: 'o/a',
      revision: 'v1'
    });
    expect(new URL(fake.requests[0].url).searchParams.get('text')).toBe('hf.co/o/a/tree/v1');
  });
});

describe('a named model', () => {
  it('is downloaded as it is named, and no more is said than that', () => {
    expect(optionsOf({ model_name: 'o/a', revision: '' })).toEqual({});
    expect(optionsOf({ model_name: 'o/a', revision: 'v1' })).toEqual({ revision: 'v1' });
  });

  it('is more than a row of the list where a revision is named', () => {
    expect(isParticular({ model_name: 'o/a', revision: '' })).toBe(false);
    expect(isParticular({ model_name: 'o/a', revision: 'v1' })).toBe(true);
  });
});
