import {
  formatAgo,
  formatBytes,
  formatContext,
  formatDuration,
  formatLimit,
  formatMetric,
  formatParameters,
  formatPercent,
  formatRate,
  formatShare,
  toLocale
} from '../domain/format';

const HOUR = 3600;
const DAY = 24 * HOUR;

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [999.4, '999 B'],
    [999.6, '1.0 kB'],
    [1000, '1.0 kB'],
    [99_940, '99.9 kB'],
    [99_960, '100 kB'],
    [988_204, '988 kB'],
    [1_503_000_000, '1.5 GB'],
    [61_064_245_248, '61.1 GB'],
    [999_499, '999 kB'],
    [999_999, '1.0 MB'],
    [123_400_000_000, '123 GB'],
    [-5, '0 B']
  ])('says %d as %s', (bytes, words) => {
    expect(formatBytes(bytes, 'en')).toBe(words);
  });

  it('uses the decimal mark of the language', () => {
    expect(formatBytes(1.5e9, 'de')).toBe('1,5 GB');
  });
});

describe('formatRate', () => {
  it('is bytes by the second', () => {
    expect(formatRate(23.4e6, 'zh-CN')).toBe('23.4 MB/s');
  });
});

describe('formatLimit', () => {
  it.each([
    [10e6, '10 MB/s'],
    [2.5e6, '2.5 MB/s'],
    [50e3, '0.05 MB/s'],
    [1200e6, '1200 MB/s']
  ])('says %d as %s', (bytesPerSecond, words) => {
    expect(formatLimit(bytesPerSecond, 'en')).toBe(words);
  });
});

describe('formatShare', () => {
  it('rounds, and hides nothing that is there', () => {
    expect(formatShare(2, 3, 'en')).toBe('67%');
    expect(formatShare(1, 1e9, 'en')).toBe('1%');
    expect(formatShare(0, 0, 'zh-CN')).toBe('0%');
  });
});

describe('formatDuration', () => {
  it.each([
    [0.4, '0 sec', '0秒'],
    [59.4, '59 sec', '59秒'],
    [200, '3 min 20 sec', '3分钟20秒'],
    [2 * HOUR, '2 hr', '2小时'],
    [2 * HOUR + 300, '2 hr 5 min', '2小时5分钟'],
    [DAY + HOUR, '1 day 1 hr', '1天1小时'],
    [-3, '0 sec', '0秒']
  ])('says %d seconds as %s and %s', (seconds, english, chinese) => {
    expect(formatDuration(seconds, 'en')).toBe(english);
    expect(formatDuration(seconds, 'zh-CN')).toBe(chinese);
  });
});

describe('formatAgo', () => {
  it.each([
    [5, 'this minute', '此刻'],
    [2 * HOUR + 5, '2 hours ago', '2小时前'],
    [DAY, 'yesterday', '昨天'],
    [40 * DAY, 'last month', '上个月'],
    [800 * DAY, '2 years ago', '2年前']
  ])('says %d seconds ago as %s', (passed, english, chinese) => {
    expect(formatAgo(1e9, 1e9 + passed, 'en')).toBe(english);
    if (chinese !== '此刻') {
      expect(formatAgo(1e9, 1e9 + passed, 'zh-CN')).toBe(chinese);
    }
  });

  it('takes a clock that runs ahead for now', () => {
    expect(formatAgo(1e9 + 60, 1e9, 'en')).toBe('this minute');
  });
});

describe('formatPercent', () => {
  it('is 100% only at the end', () => {
    expect(formatPercent(0.9999, 'en')).toBe('99%');
    expect(formatPercent(1, 'en')).toBe('100%');
  });

  it('rounds down and stays within 0 and 100', () => {
    expect(formatPercent(0.429, 'zh-CN')).toBe('42%');
    expect(formatPercent(-1, 'en')).toBe('0%');
    expect(formatPercent(7, 'en')).toBe('100%');
  });
});

describe('formatParameters and formatContext', () => {
  it('say sizes as models are called', () => {
    expect(formatParameters(596_049_920, 'en')).toBe('0.6B');
    expect(formatParameters(30_532_122_624, 'en')).toBe('30.5B');
    expect(formatParameters(2_345_678, 'en')).toBe('2.3M');
    expect(formatContext(32768, 'en')).toBe('32K');
    expect(formatContext(262144, 'en')).toBe('256K');
    expect(formatContext(512, 'en')).toBe('512');
  });
});

describe('formatMetric', () => {
  it('keeps four digits, and tiny values readable', () => {
    expect(formatMetric(2.345678, 'en')).toBe('2.346');
    expect(formatMetric(0.0000234, 'en')).toBe('2.34e-5');
    expect(formatMetric(0, 'en')).toBe('0');
  });
});

describe('toLocale', () => {
  it('turns JupyterLab’s codes into ones that Intl takes', () => {
    expect(toLocale('zh_CN')).toBe('zh-CN');
    expect(toLocale('en')).toBe('en');
    expect(toLocale('not a language')).toBe('en');
  });
});
