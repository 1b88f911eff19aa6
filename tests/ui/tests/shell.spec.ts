/** What the rest of JupyterLab shows of us, and what the panel says of this machine. */

import { expect, openPanel, test, violations } from './panel';
import { cached, job, Standin } from './standin';

const GB = 1e9;

test('each model says by which method it can be fine-tuned here, and the list can be cut down to those', async ({
  page
}) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  const models = panel.getByRole('list', { name: 'Models' });
  const row = (name: string) => models.locator('> li').filter({ hasText: name }).first();
  await expect(row('Qwen3-0.6B')).toContainText('Fits: Full fine-tuning');
  await expect(row('Qwen3-4B')).toContainText('Fits: LoRA');
  await expect(row('Qwen3-30B-A3B')).toContainText('Too large here');
  await row('Qwen3-4B').getByRole('button', { name: 'Details of Qwen/Qwen3-4B' }).click();
  const table = row('Qwen3-4B').getByRole('table', { name: 'Memory it takes, of the 24.0 GB of NVIDIA A10' });
  await expect(table.getByRole('row', { name: 'QLoRA' })).toContainText('11.3 GB');
  await expect(table.getByRole('row', { name: 'Full fine-tuning' })).toContainText('too large');
  await panel.getByLabel('Which models').selectOption('fits');
  await expect(models.locator('> li').filter({ hasText: 'Qwen3-30B-A3B' })).toHaveCount(0);
  await panel.getByLabel('Which models').selectOption('cached');
  await expect(models.locator('> li')).toHaveCount(1);
  expect(await violations(page)).toEqual([]);
});

test('several models are chosen to be deleted, and only those go', async ({ page }) => {
  const standin = new Standin();
  const ago = (days: number) => Date.now() / 1000 - days * 86400;
  standin.cached = [
    cached('Qwen/Qwen3-0.6B', { last_used: ago(1) }),
    cached('Qwen/Qwen3-8B', { size: 16 * GB, last_used: ago(30) }),
    cached('Qwen/Qwen3-4B', { size: 8 * GB, last_used: ago(9) }),
    cached('Qwen/Qwen3-14B', { pinned: true })
  ];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Choose cached models to delete' }).click();
  const dialog = page.getByRole('dialog', { name: 'Free up space' });
  await expect(dialog.getByRole('checkbox')).toHaveCount(3);
  await expect(dialog.getByRole('checkbox').first()).toHaveAccessibleName(/Qwen3-8B/);
  await expect(dialog.getByRole('status')).toHaveText('Nothing is chosen.');
  await dialog.getByRole('checkbox', { name: /Qwen3-8B/ }).check();
  await dialog.getByRole('checkbox', { name: /Qwen3-4B/ }).check();
  await expect(dialog.getByRole('status')).toHaveText('2 models go; this frees at most 24.0 GB.');
  expect(await violations(page, '.jp-Dialog')).toEqual([]);
  await dialog.getByRole('button', { name: 'Delete the chosen ones' }).click();
  await expect(panel.getByRole('list', { name: 'Cache', exact: true })).not.toContainText('Qwen3-4B');
  await expect
    .poll(() => standin.asked)
    .toEqual(['DELETE models/cache/Qwen_Qwen3-8B', 'DELETE models/cache/Qwen_Qwen3-4B']);
});

test('the status bar says what runs although the panel is closed, and a notification tells of its end', async ({
  page
}) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const item = page.getByRole('button', { name: /^Qwen3: 1 job/ });
  await expect(item).toHaveText('1 job · 38% · 112 MB/s');
  expect(standin.requests.some(each => each.endsWith('/models'))).toBe(false);
  expect(await violations(page, '.jp-Qwen3ft-statusItem')).toEqual([]);
  standin.jobs = [job('download-1', 'succeeded')];
  const toast = page.getByRole('alert').filter({ hasText: 'Download Qwen/Qwen3-4B: Succeeded' });
  await expect(toast).toBeVisible();
  await expect(item).toHaveCount(0);
  await toast.getByRole('button', { name: 'Show the panel' }).click();
  await expect(page.locator('#qwen3ft-panel')).toBeVisible();
});

test('the panel is opened from the View menu and from the toolbar of a notebook', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  await page.menu.clickMenuItem('View>Show the Qwen3 Panel');
  await expect(page.locator('#qwen3ft-panel')).toBeVisible();
  await page.sidebar.openTab('filebrowser');
  await page.notebook.createNew();
  await page
    .locator('.jp-NotebookPanel-toolbar:visible')
    .getByRole('button', { name: 'Download, load and fine-tune Qwen3 models' })
    .click();
  await expect(page.locator('#qwen3ft-panel')).toBeVisible();
});
