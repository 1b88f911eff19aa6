/** Numbers for people, in the language of the interface. Pure: no widgets, no clock of their own. */

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;
const YEAR = 365 * DAY;

/**
 * Turn JupyterLab's language code into one that `Intl` takes.
 *
 * @param code - For example `en`, `zh_CN` or `zh-CN`.
 */
export function toLocale(code: string): string {
  try {
    return Intl.getCanonicalLocales(code.replace(/_/g, '-'))[0] ?? 'en';
  } catch {
    return 'en';
  }
}

/** Decimal units, as hubs and disks are labelled: `1.5 GB`, `988 kB`. The rule of `size` in format.py. */
export function formatBytes(bytes: number, locale: string): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  const format = new Intl.NumberFormat(locale, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    useGrouping: false
  });
  return `${format.format(value)} ${BYTE_UNITS[unit]}`;
}

/** Bytes of a second: `23.4 MB/s`. */
export function formatRate(bytesPerSecond: number, locale: string): string {
  return `${formatBytes(bytesPerSecond, locale)}/s`;
}

/** A limit of speed, as people set it: `10 MB/s`. */
export function formatLimit(bytesPerSecond: number, locale: string): string {
  const format = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3, useGrouping: false });
  return `${format.format(bytesPerSecond / 1e6)} MB/s`;
}

/**
 * The two largest units of a duration: `3 min 20 sec`, `3分钟20秒`.
 *
 * @param seconds - Rounded to whole seconds; negative counts as 0.
 */
export function formatDuration(seconds: number, locale: string): string {
  const total = Math.max(0, Math.round(seconds));
  if (total >= DAY) {
    return joinUnits(locale, [total / DAY, 'day'], [(total % DAY) / HOUR, 'hour']);
  }
  if (total >= HOUR) {
    return joinUnits(locale, [total / HOUR, 'hour'], [(total % HOUR) / MINUTE, 'minute']);
  }
  if (total >= MINUTE) {
    return joinUnits(locale, [total / MINUTE, 'minute'], [total % MINUTE, 'second']);
  }
  return formatUnit(total, 'second', locale);
}

/**
 * How long ago something was: `2 hours ago`, `2小时前`.
 *
 * @param time - Unix seconds.
 * @param now - Unix seconds.
 */
export function formatAgo(time: number, now: number, locale: string): string {
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const passed = Math.max(0, now - time);
  const [size, unit] = agoUnit(passed);
  return relative.format(-Math.floor(passed / size), unit);
}

/** A share between 0 and 1: `42%`. Never `100%` before the end. */
export function formatPercent(fraction: number, locale: string): string {
  const share = Math.min(1, Math.max(0, fraction));
  const shown = share < 1 ? Math.min(0.99, Math.floor(share * 100) / 100) : 1;
  return new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 }).format(shown);
}

/** A share of a whole, rounded: `72%`. What is there at all is at least 1%. */
export function formatShare(part: number, whole: number, locale: string): string {
  const share = whole > 0 ? part / whole : 0;
  const shown = share > 0 ? Math.max(0.01, share) : 0;
  return new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 }).format(shown);
}

/** The count of parameters as models are called: `0.6B`, `30.5B`, `900K`. */
export function formatParameters(count: number, locale: string): string {
  if (count >= 1e8) {
    return `${formatNumber(count / 1e9, locale, count < 1e11 ? 1 : 0)}B`;
  }
  return count >= 1e6
    ? `${formatNumber(count / 1e6, locale, 1)}M`
    : `${formatNumber(count / 1e3, locale, 0)}K`;
}

/** Tokens of context as model cards say it: `32K`, `256K`. */
export function formatContext(tokens: number, locale: string): string {
  return tokens >= 1024
    ? `${formatNumber(Math.round(tokens / 1024), locale, 0)}K`
    : formatNumber(tokens, locale, 0);
}

/** A measured value such as a loss: four significant digits. */
export function formatMetric(value: number, locale: string): string {
  if (value !== 0 && Math.abs(value) < 1e-3) {
    return value.toExponential(2);
  }
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 4, useGrouping: false }).format(value);
}

/** A count: `12,345`. */
export function formatCount(value: number, locale: string): string {
  return formatNumber(value, locale, 0);
}

function formatNumber(value: number, locale: string, digits: number): string {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

function formatUnit(value: number, unit: string, locale: string): string {
  return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'short' }).format(
    Math.floor(value)
  );
}

function joinUnits(locale: string, large: [number, string], small: [number, string]): string {
  const parts = [large, small]
    .filter(([value], index) => index === 0 || Math.floor(value) > 0)
    .map(([value, unit]) => formatUnit(value, unit, locale));
  // Chinese, Japanese and Korean write the parts without a space where the short units have none.
  return parts.join(/^(zh|ja)\b/.test(locale) ? '' : ' ');
}

function agoUnit(passed: number): [number, Intl.RelativeTimeFormatUnit] {
  if (passed < MINUTE) {
    return [MINUTE, 'minute'];
  }
  if (passed < HOUR) {
    return [MINUTE, 'minute'];
  }
  if (passed < DAY) {
    return [HOUR, 'hour'];
  }
  if (passed < MONTH) {
    return [DAY, 'day'];
  }
  return passed < YEAR ? [MONTH, 'month'] : [YEAR, 'year'];
}
