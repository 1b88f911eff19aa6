/** The style files share one page: what stands in two of them drifts apart, or falls on what it was not meant for. */

import { readdirSync, readFileSync } from 'fs';
import { join } from 'path';

const FOLDER = join(__dirname, '../../style');

interface IRule {
  readonly file: string;
  readonly selector: string;
  readonly body: string;
}

/** The rules outside of queries. */
function rulesOf(file: string): ReadonlyArray<IRule> {
  const text = readFileSync(join(FOLDER, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const outside = text.replace(/@[^{;]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}/g, '');
  return [...outside.matchAll(/([^{}]+)\{([^{}]*)\}/g)].map(([, selector, body]) => ({
    file,
    selector: selector.replace(/\s+/g, ' ').trim(),
    body: body.replace(/\s+/g, ' ').trim()
  }));
}

function repeated(rules: ReadonlyArray<IRule>, keyOf: (rule: IRule) => string): ReadonlyArray<string> {
  const files = new Map<string, Set<string>>();
  rules.forEach(rule => {
    const key = keyOf(rule);
    files.set(key, (files.get(key) ?? new Set()).add(rule.file));
  });
  return [...files].filter(([, found]) => found.size > 1).map(([key]) => key);
}

describe('the style files', () => {
  const rules = readdirSync(FOLDER)
    .filter(name => name.endsWith('.css') && name !== 'index.css')
    .flatMap(rulesOf);

  it('do not style one thing in two places', () => {
    expect(rules.length).toBeGreaterThan(200);
    expect(repeated(rules, rule => rule.selector)).toEqual([]);
  });

  it('have what is longer than a few lines once', () => {
    const long = rules.filter(({ body }) => body.split(';').filter(each => each.trim() !== '').length > 4);
    expect(repeated(long, rule => rule.body)).toEqual([]);
  });
});
