/** The output of a cell, in a notebook that was saved with it: no kernel has run here. */

import { expect, test, violations } from './panel';
import { Standin } from './standin';

const SAVED = '<b>As it was saved</b><img src=x onerror="document.title=\'owned\'">';

function notebook(...ids: string[]): object {
  const cells = ids.map(id => ({
    id,
    cell_type: 'code',
    execution_count: 1,
    metadata: {},
    source: '%%qwen3ft finetune',
    outputs: [
      {
        output_type: 'display_data',
        metadata: {},
        data: { 'application/vnd.qwen3ft.job+json': { id }, 'text/html': SAVED, 'text/plain': 'saved' }
      }
    ]
  }));
  const kernelspec = { name: 'python3', display_name: 'Python 3', language: 'python' };
  return { cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 };
}

test('a job is live again in a reloaded notebook, and a forgotten one shows what was saved', async ({
  page,
  baseURL
}) => {
  await new Standin().install(page);
  await page.request.put(`${baseURL}/api/contents/jobs.ipynb`, {
    data: { type: 'notebook', format: 'json', content: notebook('finetune-1', 'download-1', 'forgotten') }
  });
  await page.goto('tree/jobs.ipynb');
  const outputs = page.locator('.jp-Qwen3ft-output');
  await expect(outputs.nth(0)).toContainText('Fine-tune Qwen/Qwen3-0.6B');
  await expect(outputs.nth(0).getByRole('img', { name: /^Loss 1.93 → 0.44, means/ })).toBeVisible();
  await expect(outputs.nth(0).getByRole('row')).toHaveText([/^Process/, /^0cuda:0/, /^1cuda:1.*50%86%$/]);
  await expect(outputs.nth(2)).toContainText('As it was saved');
  await expect(page.locator('[onerror]')).toHaveCount(0);
  expect(await page.title()).not.toBe('owned');
  expect(await violations(page, '.jp-Qwen3ft-output')).toEqual([]);
  await outputs.nth(1).getByRole('button', { name: 'Stop: Download Qwen/Qwen3-4B' }).click();
  await expect(outputs.nth(1)).toContainText('Stopped');
});
