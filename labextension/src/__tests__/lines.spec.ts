import { linesOf, matching, plainLine } from '../domain/lines';

describe('a line of a log', () => {
  it('loses what only terminals understand', () => {
    expect(plainLine('\u001b[31mred\u001b[0m \u001b]0;title\u0007plain')).toBe('red plain');
  });

  it('names what cannot be seen, and what turns the direction of a text', () => {
    expect(plainLine('a\u202egpj.exe\u0000')).toBe('a‹U+202E›gpj.exe‹U+0000›');
  });

  it('keeps markup as it is written, tabs, and every script', () => {
    const line = '<img src=x onerror=alert(1)>\t你好 שלום 😀';
    expect(plainLine(line)).toBe(line);
  });
});

describe('the lines of a text', () => {
  it('show of a progress bar only how it stands', () => {
    expect(linesOf('1%\r50%\r100%\ndone\r\n')).toEqual(['100%', 'done']);
  });

  it('are none of an empty text', () => {
    expect(linesOf('')).toEqual([]);
  });

  it('are found in either case, by their numbers', () => {
    expect(matching(['Loss 3', 'saved', 'loss 2'], 'LOSS')).toEqual([
      { index: 0, line: 'Loss 3' },
      { index: 2, line: 'loss 2' }
    ]);
  });

  it('are found among very many at once', () => {
    const lines = Array.from({ length: 50_000 }, (_, index) => `line ${index}`);
    expect(matching(lines, 'line 49999')).toEqual([{ index: 49_999, line: 'line 49999' }]);
  });
});
