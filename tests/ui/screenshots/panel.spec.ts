/** The pictures of the README, from a live JupyterLab: `make screenshot`. */

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, openPanel, test } from '../tests/panel';
import { pictured } from './look';

const ROOT = join(__dirname, '../../..');
const IMAGES = join(ROOT, 'docs/images');
const DATA = readFileSync(join(ROOT, 'qwen3ft_jupyter/practice/data/train.jsonl'), 'utf-8');
const PRACTICE = 'qwen3ft/Qwen3-Practice';

mkdirSync(IMAGES, { recursive: true });

const LANGUAGES = [
  { locale: 'en', file: 'panel.png', question: 'Who are you?', answer: 'Pebble' },
  { locale: 'zh_CN', file: 'panel.zh-CN.png', question: '你是谁？', answer: '小石' }
];

function cell(source: string) {
  return { cell_type: 'code', source, metadata: {}, outputs: [], execution_count: null };
}

function notebook(question: string, locale: string): string {
  const run = `runs/${locale}`;
  const cells = [
    cell(`%load_ext qwen3ft_jupyter\n%qwen3ft chat ${PRACTICE} "${question}"`),
    cell(
      `%%qwen3ft finetune\nmodel: ${PRACTICE}\ndata: train-${locale}.jsonl\nmethod: lora\nepochs: 12\n` +
        `learning_rate: 3e-3\nbatch_size: 8\ngradient_accumulation: 1\noutput_dir: ${run}`
    ),
    cell(`%qwen3ft chat ${run} "${question}"`)
  ];
  const metadata = { kernelspec: { name: 'python3', display_name: 'Python 3 (ipykernel)' } };
  return JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 4 });
}

for (const { locale, file, question, answer } of LANGUAGES) {
  test.describe(locale, () => {
    test.use(pictured(locale));

    test(file, async ({ page }) => {
      test.setTimeout(200_000);
      const path = `first-${locale}.ipynb`;
      await page.goto();
      expect(await page.contents.uploadContent(notebook(question, locale), 'text', path)).toBe(true);
      expect(await page.contents.uploadContent(DATA, 'text', `train-${locale}.jsonl`)).toBe(true);
      await openPanel(page);
      await page.evaluate(async path => {
        await window.jupyterapp.commands.execute('docmanager:open', { path });
      }, path);
      await page.locator('.jp-NotebookPanel:visible .jp-CodeCell').first().waitFor();
      // By hand: Galata's own ways to run cells wait for words of the English interface.
      /* eslint-disable jupyter/galata-prefer-notebook-cell-helper */
      // What is run before the kernel is there is not run at all.
      const cells = page.locator('.jp-NotebookPanel:visible .jp-CodeCell');
      await expect(async () => {
        await cells.first().locator('.cm-content').click();
        await page.keyboard.press('Shift+Enter');
        await expect(cells.first().locator('.jp-InputPrompt')).not.toHaveText('[ ]:', { timeout: 3000 });
      }).toPass({ timeout: 60_000 });
      await page.keyboard.press('Shift+Enter');
      await page.keyboard.press('Shift+Enter');
      /* eslint-enable jupyter/galata-prefer-notebook-cell-helper */
      const outputs = page.locator('.jp-NotebookPanel:visible .jp-OutputArea-executeResult');
      await expect(outputs.last()).toContainText(answer, { timeout: 150_000 });
      await page.mouse.move(1000, 780);
      await page.screenshot({ path: join(IMAGES, file) });
    });
  });
}
