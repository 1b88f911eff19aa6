import { readdirSync, readFileSync, statSync } from 'fs';
import { join, resolve } from 'path';

import { ENGLISH_SENTENCES, serverWords } from '../sentences';
import { ENGLISH } from './fake';

const PACKAGE = resolve(__dirname, '../../../qwen3ft_jupyter');

const CHINESE: Record<string, string[]> = JSON.parse(
  readFileSync(join(PACKAGE, 'locale/zh_CN/LC_MESSAGES/qwen3ft_jupyter.json'), 'utf8')
);

const chinese = {
  __: (text: string, ...values: unknown[]) =>
    CHINESE[text][0].replace(/%(\d)/g, (_, place: string) => String(values[Number(place) - 1]))
};

function pythonFiles(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) {
      return pythonFiles(path);
    }
    return name.endsWith('.py') ? [path] : [];
  });
}

describe('the sentences', () => {
  it('are ones that the Python side says', () => {
    const sources = pythonFiles(PACKAGE).map(path => readFileSync(path, 'utf8'));
    // Python writes long texts in several pieces.
    const said = sources.join('\n').replace(/"\s*f?"/g, '');
    const gone = ENGLISH_SENTENCES.filter(sentence =>
      sentence
        .split(/%\d/)
        .map(piece => piece.replace(/^"|"?\.?$/g, '').trim())
        .some(piece => !said.includes(piece))
    );
    expect(gone).toEqual([]);
  });
});

describe('serverWords', () => {
  it.each([
    [
      'www.modelscope.cn: the name cannot be looked up. huggingface.co: the name cannot be looked up.',
      'www.modelscope.cn：域名无法解析。huggingface.co：域名无法解析。'
    ],
    ['Is there a network? Behind a proxy, set HTTPS_PROXY.', '网络是否连通？如需代理，请设置 HTTPS_PROXY。'],
    ['Qwen never published "Qwen/Qwen3-7B".', 'Qwen 从未发布“Qwen/Qwen3-7B”。'],
    ['Hugging Face: o/n has no revision "v2".', 'Hugging Face：o/n 没有版本“v2”。']
  ])('says %j in Chinese', (english, words) => {
    expect(serverWords(english, chinese)).toBe(words);
    expect(serverWords(english, ENGLISH.trans)).toBe(english);
  });

  it.each(['', 'Nobody knows this. Try again.', 'Try again'])('leaves %j alone', text => {
    expect(serverWords(text, chinese)).toBe(text);
  });

  it('takes what stands in a placeholder for text', () => {
    expect(serverWords('There is no job %1 $& <b>.', chinese)).toContain('%1 $& <b>');
  });
});
