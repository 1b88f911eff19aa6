import { readdirSync, readFileSync, statSync } from 'fs';
import { join, resolve } from 'path';
import * as ts from 'typescript';

const SOURCES = resolve(__dirname, '..');
const SCHEMA = resolve(__dirname, '../../schema/plugin.json');
const LOCALE = resolve(__dirname, '../../../qwen3ft_jupyter/locale/zh_CN/LC_MESSAGES');

/** Jed's separator of context and text. */
const CONTEXT_END = '\u0004';

const catalogue: Record<string, string[] | Record<string, string>> = JSON.parse(
  readFileSync(join(LOCALE, 'qwen3ft_jupyter.json'), 'utf8')
);

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) {
      return name === '__tests__' ? [] : sources(path);
    }
    return /\.tsx?$/.test(name) ? [path] : [];
  });
}

/** Every text that the code hands to `trans.__` or, as a singular, to `trans._n`. */
function translatable(): string[] {
  const texts: string[] = [];
  for (const path of sources(SOURCES)) {
    const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && /\btrans\.(__|_n)$/.test(node.expression.getText())) {
        const [text] = node.arguments;
        if (ts.isStringLiteralLike(text)) {
          texts.push(text.text);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return [...new Set(texts)];
}

/** Every text of the settings, with the context under which JupyterLab looks it up. */
function settingTexts(): string[] {
  const schema = JSON.parse(readFileSync(SCHEMA, 'utf8'));
  const properties: { title: string; description: string }[] = Object.values(schema.properties);
  return [
    ...[schema.title, schema.description].map(text => `schema${CONTEXT_END}${text}`),
    ...properties.flatMap(({ title, description }) =>
      [title, description].map(text => `settings${CONTEXT_END}${text}`)
    )
  ];
}

function placeholders(text: string): string[] {
  return [...new Set(text.match(/%\d/g))].sort();
}

function translation(text: string): string {
  const entry = catalogue[text];
  return Array.isArray(entry) ? entry[0] : '';
}

describe('the Chinese catalogue', () => {
  it('is one that JupyterLab finds', () => {
    expect(readFileSync(join(LOCALE, 'qwen3ft_jupyter.po'), 'utf8')).toContain('"Language: zh_CN\\n"');
    expect(catalogue['']).toMatchObject({ language: 'zh-CN', domain: 'qwen3ft_jupyter' });
  });

  it('has every text of the code and of the settings', () => {
    const texts = [...translatable(), ...settingTexts()];
    expect(texts.length).toBeGreaterThan(100);
    expect(texts.filter(text => translation(text) === '')).toEqual([]);
  });

  it('has no text that nobody uses', () => {
    const used = new Set([...translatable(), ...settingTexts(), `settings${CONTEXT_END}Qwen3`, '']);
    expect(Object.keys(catalogue).filter(text => !used.has(text))).toEqual([]);
  });

  it('keeps the placeholders of every text', () => {
    const wrong = translatable().filter(
      text => String(placeholders(text)) !== String(placeholders(translation(text)))
    );
    expect(wrong).toEqual([]);
  });
});
