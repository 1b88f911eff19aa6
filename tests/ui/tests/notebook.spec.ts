/** Cells that run in a real kernel: what they show, what is saved of it, and in which language. */

import type { APIRequestContext } from '@playwright/test';

import { expect, putNotebook, test } from './panel';

const PRACTICE = 'qwen3ft/Qwen3-Practice';

/** What is on the disk of a cell's outputs. */
async function saved(
  request: APIRequestContext,
  baseURL: string,
  name: string,
  cell: number
): Promise<string> {
  const answer = await request.get(`${baseURL}/api/contents/${name}?content=1`);
  const { content } = await answer.json(); // none while the file is being written
  return JSON.stringify(content?.cells[cell].outputs ?? []);
}

test('a cell that fine-tunes is not empty when the page is reloaded at once', async ({ page, baseURL }) => {
  const url = String(baseURL);
  const data = ['from qwen3ft_jupyter.practice import data_files', 'train = str(data_files()[0])'];
  const config = [`model: ${PRACTICE}`, 'data: $train', 'output_dir: runs/reloaded', 'epochs: 400'];
  await putNotebook(page.request, url, 'reload.ipynb', [
    ['%load_ext qwen3ft_jupyter', ...data].join('\n'),
    ['%%qwen3ft finetune', ...config].join('\n')
  ]);
  await page.goto('tree/reload.ipynb');
  await page.notebook.runCell(0);
  await page.notebook.selectCells(1);
  await page.keyboard.press('Control+Enter');
  const output = page.locator('.jp-Qwen3ft-output');
  await expect(output).toContainText(`Fine-tune ${PRACTICE}`, { timeout: 60_000 });
  await expect.poll(() => saved(page.request, url, 'reload.ipynb', 1)).toContain('qwen3ft.job');
  await page.reload({ waitForIsReady: false });
  await expect(output).toContainText(`Fine-tune ${PRACTICE}`, { timeout: 60_000 });
  await output.getByRole('button', { name: /^Stop/ }).click();
  await expect(output).toContainText('Stopped', { timeout: 60_000 });
});

test('the first cell of the README shows each of its answers', async ({ page, baseURL }) => {
  const lines = ['%load_ext qwen3ft_jupyter', '%qwen3ft status', `%qwen3ft download ${PRACTICE}`];
  await putNotebook(page.request, String(baseURL), 'first.ipynb', [lines.join('\n')]);
  await page.goto('tree/first.ipynb');
  await page.notebook.runCell(0);
  const outputs = page.locator('.jp-OutputArea-output');
  await expect(outputs).toHaveCount(2);
  await expect(outputs.nth(0)).toContainText('MODEL_CACHE_DIR');
  await expect(outputs.nth(1)).toContainText('Succeeded', { timeout: 60_000 });
});

test('cells speak the language that is chosen in the menu', async ({ page, baseURL }) => {
  const url = String(baseURL);
  const setting = `${url}/lab/api/settings/@jupyterlab/translation-extension:plugin`;
  const choose = (locale: string) => page.request.put(setting, { data: { raw: JSON.stringify({ locale }) } });
  await putNotebook(page.request, url, 'chinese.ipynb', [
    '%load_ext qwen3ft_jupyter\n%qwen3ft list',
    '%qwen3ft load runs/nope'
  ]);
  await choose('zh_CN');
  try {
    await page.goto('tree/chinese.ipynb');
    await page.notebook.runCell(0);
    await page.notebook.runCell(1);
    const outputs = page.locator('.jp-OutputArea-output');
    await expect(outputs.nth(0)).toContainText('缓存中有');
    await expect(outputs.nth(1)).toContainText('没有文件夹“runs/nope”。');
  } finally {
    await choose('default');
  }
});
