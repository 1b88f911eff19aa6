import { readFileSync } from 'fs';
import { join } from 'path';

import { ENGLISH_TEXTS, serverWords } from '../domain/sentences';
import { ENGLISH } from './fake';
import { PACKAGE, PYTHON } from './python';

const CHINESE: Record<string, string[]> = JSON.parse(
  readFileSync(join(PACKAGE, 'locale/zh_CN/LC_MESSAGES/qwen3ft_jupyter.json'), 'utf8')
);

const chinese = {
  __: (text: string, ...values: unknown[]) =>
    CHINESE[text][0].replace(/%(\d)/g, (_, place: string) => String(values[Number(place) - 1]))
};

describe('the sentences', () => {
  it('are ones that the Python side says', () => {
    // Python writes long texts in several pieces.
    const said = PYTHON.replace(/"\s*f?"/g, '');
    const gone = ENGLISH_TEXTS.filter(sentence =>
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
    ['Hugging Face: o/n has no revision "v2".', 'Hugging Face：o/n 没有版本“v2”。'],
    [
      'Copied 92.7 MB in 8 files from the Hugging Face cache on this disk instead of downloading.',
      '已从本机的 Hugging Face 缓存复制 8 个文件（92.7 MB），无需下载。'
    ],
    [
      'To stay within the quota of 1.3 GB, the least recently used models are evicted: o/a (400 MB, last used 2026-11-23 13:04), o/b at v1 (1.0 GB, last used 2026-11-22 09:30).',
      '为不超出 1.3 GB 的配额，将删除最久未使用的模型：o/a（400 MB，上次使用 2026-11-23 13:04）, o/b（版本 v1）（1.0 GB，上次使用 2026-11-22 09:30）。'
    ],
    [
      'Evict o/a (400 MB) and o/b (1.0 GB), or set MODEL_CACHE_DIR to a larger volume.',
      '请删除 o/a (400 MB) 和 o/b (1.0 GB)，或将 MODEL_CACHE_DIR 设到更大的磁盘上。'
    ],
    [
      'Free some room, or set MODEL_CACHE_DIR to a larger volume.',
      '请腾出空间，或将 MODEL_CACHE_DIR 设到更大的磁盘上。'
    ],
    [
      'o/n: a.json, b.json, c.json and 3 more: missing or wrong; fetching what is damaged.',
      'o/n：a.json, b.json, c.json 等，另有 3 个 缺失或有误；正在获取损坏的部分。'
    ],
    [
      'model.safetensors: the bytes do not have the listed digest; fetching what others brought from mirror 10.0.0.5:8900 again.',
      'model.safetensors：数据与站点公布的校验值不符；正在重新获取由其他来源提供的部分（来自 镜像 10.0.0.5:8900）。'
    ],
    [
      'mirror 10.0.0.5:8900 has other files for o/n. Going on without it.',
      '镜像 10.0.0.5:8900 上 o/n 的文件不同。将不使用该来源，继续下载。'
    ]
  ])('says %j in Chinese', (english, words) => {
    expect(serverWords(english, chinese)).toBe(words);
    expect(serverWords(english, ENGLISH.trans)).toBe(english);
  });

  it.each(['', 'Nobody knows this. Try again.', 'Try again'])('leaves %j alone', text => {
    expect(serverWords(text, chinese)).toBe(text);
  });

  it('takes what stands in a placeholder for text', () => {
    expect(serverWords("Unexpected error: cannot import 'a' from 'b'.", chinese)).toContain("'a' from 'b'");
    expect(serverWords('There is no job %1 $& <b>.', chinese)).toContain('%1 $& <b>');
  });
});
