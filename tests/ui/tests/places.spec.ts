/** From the panel into the notebook and back. */

import { expect, openPanel, test } from './panel';
import { job, Standin } from './standin';

const MIME = 'application/vnd.qwen3ft.job+json';

function notebook(outputs: ReadonlyArray<object>): object {
  const cell = (source: string, shown: ReadonlyArray<object> = []) => ({
    cell_type: 'code',
    source,
    metadata: {},
    outputs: shown,
    execution_count: null
  });
  const metadata = { kernelspec: { name: 'python3', display_name: 'Python 3 (ipykernel)' } };
  const cells = [
    ...Array.from({ length: 30 }, (_, index) => cell(`# ${index}\n\n\n`)),
    cell('# here', outputs)
  ];
  return { cells, metadata, nbformat: 4, nbformat_minor: 4 };
}

function running(): Standin {
  const standin = new Standin();
  standin.jobs = [
    job('finetune-7', 'running', {
      kind: 'finetune',
      title: 'Fine-tune Qwen/Qwen3-0.6B → runs',
      params: { config: { model: 'Qwen/Qwen3-0.6B', output_dir: 'runs' } },
      controls: null
    })
  ];
  return standin;
}

test('from a card one gets to the cell that shows the job', async ({ page, baseURL }) => {
  await running().install(page);
  const shown = { output_type: 'display_data', data: { [MIME]: { id: 'finetune-7' } }, metadata: {} };
  const data = { type: 'notebook', format: 'json', content: notebook([shown]) };
  await page.request.put(`${baseURL}/api/contents/long.ipynb`, { data });
  await page.goto();
  const panel = await openPanel(page);
  await page.evaluate(() => window.jupyterapp.commands.execute('docmanager:open', { path: 'long.ipynb' }));
  await page.locator('.jp-NotebookPanel:visible .jp-CodeCell').first().waitFor();
  await panel.getByRole('button', { name: 'Show in the notebook: Fine-tune Qwen/Qwen3-0.6B → runs' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.locator('.jp-NotebookPanel:visible .jp-Cell.jp-mod-active')).toContainText('# here');
  await expect(page.locator('.jp-Qwen3ft-output')).toBeInViewport();
  await expect(page.locator('.jp-NotebookPanel:visible .jp-Qwen3ft-output')).toHaveCount(1);
});

test('a job that no notebook shows gets a cell, live though no kernel has run it', async ({ page }) => {
  await running().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: /^Show in the notebook/ }).click();
  const cell = page.locator('.jp-NotebookPanel:visible .jp-CodeCell').first();
  await expect(cell).toContainText('%qwen3ft jobs follow finetune-7');
  await expect(cell.locator('.jp-Qwen3ft-output')).toContainText('Fine-tune Qwen/Qwen3-0.6B → runs');
  await expect(cell.locator('.jp-Qwen3ft-output')).toContainText('Running');
  // The second time it is there.
  await panel.getByRole('button', { name: /^Show in the notebook/ }).click();
  await expect(page.locator('.jp-NotebookPanel:visible .jp-Qwen3ft-output')).toHaveCount(1);
});
