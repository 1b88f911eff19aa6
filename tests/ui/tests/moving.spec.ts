/** Where copies lie: shown, adopted, and the whole cache moved. */

import { expect, openPanel, test, violations } from './panel';
import { job, plan, Standin, standinWithCopies } from './standin';

test('a copy is shown in the file browser where that shows it', async ({ page, tmpPath }) => {
  const standin = new Standin();
  standin.cached[0].browser_path = `${tmpPath}/models/Qwen_Qwen3-0.6B`;
  await standin.install(page);
  await page.goto();
  for (const folder of [`${tmpPath}/models`, `${tmpPath}/models/Qwen_Qwen3-0.6B`]) {
    expect(await page.contents.createDirectory(folder)).toBe(true);
  }
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'More for Qwen/Qwen3-0.6B' }).press('Enter');
  await page.getByRole('menuitem', { name: 'Show in the file browser' }).click();
  await expect(page.locator('.jp-FileBrowser .jp-BreadCrumbs')).toContainText('Qwen_Qwen3-0.6B');
  await expect(page.locator('.jp-FileBrowser')).toBeVisible();
  // The same from the details of the model.
  await openPanel(page);
  await panel.getByRole('button', { name: 'Details of Qwen/Qwen3-0.6B', exact: true }).click();
  await expect(
    panel.getByRole('button', { name: 'Show in the file browser: Qwen/Qwen3-0.6B' })
  ).toBeVisible();
});

test('elsewhere a cell says where a copy lies, and no path is in it', async ({ page }) => {
  const standin = standinWithCopies();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'More for Qwen/Qwen3-8B' }).click();
  await page.getByRole('menuitem', { name: 'Insert a cell that says where it is' }).click();
  await expect(page.locator('.jp-Notebook .jp-CodeCell').first()).toContainText(
    '%qwen3ft where Qwen/Qwen3-8B --owner huggingface'
  );
  // A shared model has no other action there.
  await panel.getByRole('button', { name: 'More for my-team/qwen3-support-bot' }).click();
  await expect(page.locator('.lm-Menu').getByRole('menuitem')).toHaveText([
    'Insert a cell that says where it is'
  ]);
});

test('what another tool has is adopted once it was shown what is taken from there', async ({ page }) => {
  const standin = standinWithCopies();
  standin.plan = plan('Qwen/Qwen3-8B');
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Adopt into this cache… Qwen/Qwen3-8B' }).click();
  const dialog = page.getByRole('dialog', { name: 'Adopt Qwen/Qwen3-8B into this cache' });
  await expect(dialog).toContainText('It is copied from the Hugging Face cache into this cache.');
  await expect(dialog).toContainText('The files there stay as they are');
  await expect(dialog.getByRole('row', { name: /^tokenizer.json/ })).toContainText(
    'On this disk: Hugging Face cache'
  );
  expect(await violations(page, '.jp-Dialog')).toEqual([]);
  expect(standin.asked).toEqual(['POST models/download {"model_name":"Qwen/Qwen3-8B","dry_run":true}']);
  await dialog.getByRole('button', { name: 'Adopt' }).click();
  await expect.poll(() => standin.asked.at(-1)).toBe('POST models/download {"model_name":"Qwen/Qwen3-8B"}');
});

test('what this cache has is not offered to be adopted', async ({ page }) => {
  const standin = standinWithCopies();
  standin.cached.push({
    ...standin.cached[0],
    model_name: 'Qwen/Qwen3-8B',
    slug: 'Qwen_Qwen3-8B',
    path: '/m/8'
  });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const theirs = panel.getByRole('list', { name: 'Also on this disk' });
  await theirs.getByRole('button', { name: 'More for Qwen/Qwen3-8B' }).click();
  await expect(page.getByRole('menuitem', { name: 'Use it where it is, without copying' })).toBeVisible();
  await expect(theirs.getByRole('button', { name: /^Adopt into this cache…/ })).toHaveCount(0);
});

test('the cache is moved once its plan was shown, as a job that can be stopped', async ({ page }) => {
  const standin = new Standin();
  standin.jobs = [];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: /^Move the cache…/ }).press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Move the cache' });
  const field = dialog.getByRole('textbox', { name: 'New folder, with its whole path' });
  await expect(field).toBeFocused();
  await expect(dialog).toContainText('/mnt/workspace/.cache/qwen3ft/models');
  expect(await violations(page, '.jp-Dialog')).toEqual([]);
  await field.fill('/data/models');
  await page.keyboard.press('Enter');
  await expect(dialog).toContainText('2 folders, 9.7 GB');
  await expect(dialog).toContainText('9.7 GB; each file is read again before the old one is deleted');
  await expect(dialog).toContainText('now it comes from: environment (MODEL_CACHE_DIR)');
  await expect(dialog).toContainText('notes.txt');
  // A key that is pressed once too often moves nothing.
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused();
  expect(await violations(page, '.jp-Dialog')).toEqual([]);
  await dialog.getByRole('button', { name: 'Move', exact: true }).click();
  const summary = panel.locator('.jp-mod-cache');
  await expect(summary.getByRole('progressbar', { name: 'Move the cache → models' })).toBeVisible();
  await summary.getByRole('button', { name: /^Stop/ }).click();
  await expect
    .poll(() => standin.asked)
    .toEqual([
      'POST models/cache/move {"folder":"/data/models","dry_run":true}',
      'POST models/cache/move {"folder":"/data/models"}',
      'POST jobs/move-1/stop'
    ]);
});

test('a place that is refused is told where it can be mended, and too little room ends it there', async ({
  page
}) => {
  const standin = new Standin();
  await standin.install(page);
  await page.route(/qwen3ft\/models\/cache\/move/, async route => {
    const { folder } = route.request().postDataJSON();
    return folder === 'models'
      ? route.fulfill({
          status: 400,
          json: {
            code: 'bad-input',
            message: 'The folder models is not a whole path.',
            hint: 'Begin it with /.'
          }
        })
      : route.fallback();
  });
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: /^Move the cache…/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Move the cache' });
  const field = dialog.getByRole('textbox');
  await expect(field).toBeFocused();
  await field.fill('models');
  await dialog.getByRole('button', { name: 'Show what happens' }).click();
  await expect(dialog.getByRole('alert')).toContainText('The folder models is not a whole path.');
  await expect(dialog.getByRole('alert')).toHaveClass(/jp-Qwen3ft-alert/);
  await expect(field).toHaveAccessibleDescription(/not a whole path/);
  await expect(dialog.getByRole('button', { name: 'Show what happens' })).toBeEnabled();
  expect(await violations(page, '.jp-Dialog')).toEqual([]);
  await expect(field).toHaveValue('models');
  await expect(field).toHaveAttribute('aria-invalid', 'true');
  await expect(panel.getByRole('alert').filter({ hasText: 'not a whole path' })).toHaveCount(0);
  expect(await violations(page, '.jp-Dialog')).toEqual([]);
  standin.movePlan = { ...standin.movePlan, missing_bytes: 2e9 };
  await field.fill('/small');
  await dialog.getByRole('button', { name: 'Show what happens' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Not enough room: 2.0 GB are missing');
  await expect(dialog.getByRole('button', { name: 'Move', exact: true })).toHaveCount(0);
  await dialog.getByRole('button', { name: 'Close' }).click();
  expect(standin.asked.filter(each => !each.includes('dry_run'))).toEqual([]);
});

test('after a move the panel says what is left to do, until the server looks at the new place', async ({
  page
}) => {
  const standin = new Standin();
  standin.cached = [];
  standin.incoming = 0;
  standin.jobs = [
    job('move-1', 'succeeded', {
      kind: 'move',
      title: 'Move the cache → models',
      params: {},
      result: {
        source: '/mnt/workspace/.cache/qwen3ft/models',
        target: '/data/models',
        moved: ['a_b'],
        left: [],
        bytes_copied: 1e9
      }
    })
  ];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const note = panel.getByRole('note').filter({ hasText: 'The cache has moved' });
  await expect(note).toContainText('Set MODEL_CACHE_DIR to its new folder, and restart JupyterLab:');
  await expect(note).toContainText('/data/models');
  const card = panel.getByRole('list', { name: 'Jobs' }).getByRole('listitem').first();
  await expect(card).toContainText('Set MODEL_CACHE_DIR to this folder, and restart JupyterLab.');
  expect(await violations(page)).toEqual([]);
});
