import { Sanitizer } from '@jupyterlab/apputils';

import { parseCard, parseDetails } from '../api/details';
import { cardSanitizer, hasPictures, isDrawn, isElsewhere } from '../domain/untrusted';
import { FakeServer } from './fake';

const HERE = 'http://127.0.0.1:8888';

describe('a card', () => {
  const plain = cardSanitizer(new Sanitizer(), false, HERE);
  const pictured = cardSanitizer(new Sanitizer(), true, HERE);

  it.each([
    '<img src="http://stranger/track.png">',
    '<img srcset="http://stranger/track.png 1x">',
    '<input type="image" src="http://stranger/x">',
    '<video src="http://stranger/x" poster="http://stranger/y"></video>',
    '<audio><source src="http://stranger/x"></audio>',
    '<span style="background: url(http://stranger/x)"></span>',
    '<table background="http://stranger/x"></table>',
    '<script src="http://stranger/x"></script>',
    '<iframe src="http://stranger/x"></iframe>',
    '<svg><image href="http://stranger/x" /></svg>',
    '<link rel="stylesheet" href="http://stranger/x">'
  ])('asks no stranger when it is shown: %s', dirty => {
    expect(plain.sanitize(`<p>a</p>${dirty}<p>b</p>`)).not.toContain('stranger');
  });

  it.each([
    '<div class="jp-Dialog" id="main">x</div>',
    '<form action="/logout"><button formaction="/logout" data-commandlinker-command="x">x</button></form>',
    '<a href="javascript:alert(1)" onclick="alert(1)">x</a>',
    `<a href="${HERE}/logout">x</a>`,
    '<a href="/logout">x</a>',
    '<a href="//127.0.0.1:8888/logout">x</a>',
    '<textarea>x</textarea>',
    '<p style="position: fixed; inset: 0">x</p>'
  ])('has no power over the page: %s', dirty => {
    for (const { sanitize } of [plain, pictured]) {
      expect(sanitize(dirty)).not.toMatch(/class|id=|style|script|href|logout|form|button|alert|textarea/);
    }
  });

  it('says what a picture shows, and shows it only where that is wanted and it comes from elsewhere', () => {
    const dirty = '<p><img src="https://hub/a.png" alt="curve" onerror="x"></p>';
    expect(plain.sanitize(dirty)).toBe('<p><em>curve</em></p>');
    expect(pictured.sanitize(dirty)).toContain('src="https://hub/a.png"');
    expect(pictured.sanitize(dirty)).not.toContain('onerror');
    expect(pictured.sanitize(dirty)).toContain('referrerpolicy="no-referrer"');
    for (const own of ['/logout', `${HERE}/logout`, 'figures/a.png', 'data:image/png;base64,AA==']) {
      expect(pictured.sanitize(`<img src="${own}" alt="own">`)).toBe('<em>own</em>');
    }
  });

  it('keeps text, code, tables and links that lead elsewhere, below the headings of the panel', () => {
    expect(plain.sanitize('<h1>Qwen3</h1>')).toBe('<h4>Qwen3</h4>');
    expect(plain.sanitize('<a href="https://qwen.ai/">a</a>')).toBe(
      '<a href="https://qwen.ai/" target="_blank" rel="noopener noreferrer">a</a>'
    );
    const clean =
      '<table><tbody><tr><td align="right"><code class="language-py">x</code></td></tr></tbody></table>';
    expect(plain.sanitize(clean)).toBe(clean);
  });

  it('has pictures where its text names some of the network', () => {
    expect(hasPictures('![curve](https://hub/a.png)')).toBe(true);
    expect(hasPictures('<p>\n<img width=100 src="http://hub/a.png"/>')).toBe(true);
    expect(hasPictures('![curve](a.png) and <img src="a.png"> and https://hub/a.png')).toBe(false);
  });

  it.each(['![', '![a](', '<img ', '<img src=', '<img src ', ' src'])(
    'is looked through once, however often it says %j',
    beginning => {
      expect(hasPictures(`<img${beginning.repeat(1_000_000)}`)).toBe(false);
    }
  );

  it('is drawn unless it is longer than any that is meant to be read', () => {
    expect(isDrawn('a'.repeat(300_000))).toBe(true);
    expect(isDrawn('a'.repeat(300_001))).toBe(false);
  });

  it.each([
    ['https://hub/x', true],
    [`${HERE}/x`, false],
    ['https://127.0.0.1:8888/x', false],
    ['http://127.0.0.1:9999/x', false],
    ['/x', false],
    ['#x', false],
    ['javascript:x', false],
    ['data:text/html,x', false],
    ['', false]
  ])('knows what leads to another server: %s', (address, expected) => {
    expect(isElsewhere(address, HERE)).toBe(expected);
  });
});

describe('the answers', () => {
  it('tell files that are not known from none', () => {
    expect(parseDetails({ model_name: 'o/a', files: null }).files).toBeNull();
    expect(parseDetails({ model_name: 'o/a', files: [{ path: 'x', size: 1 }] }).files).toEqual([
      { path: 'x', size: 1, sha256: '', git_sha1: '' }
    ]);
    expect(parseDetails({ model_name: 'o/a', files: null }).sources).toEqual([]);
    expect(parseCard({ model_name: 'o/a', text: null }).text).toBeNull();
    expect(parseCard({ model_name: 'o/a', text: '' }).text).toBe('');
  });

  it('are asked for with what may be asked', async () => {
    const fake = new FakeServer();
    fake.reply('GET models/details', { model_name: 'o/a', files: null });
    fake.reply('GET models/card', { model_name: 'o/a', text: '# A' });
    await fake.client.details('o/a', false);
    await fake.client.card('o/a');
    const queries = fake.requests.map(({ url }) => new URL(url).searchParams);
    expect(queries.map(query => [query.get('model_name'), query.get('ask')])).toEqual([
      ['o/a', 'false'],
      ['o/a', 'true']
    ]);
  });
});
