import type { Locator } from '@playwright/test';

import { expect, openPanel, test } from './panel';
import { job, plan, Standin, standinWithCopies, THEIRS } from './standin';

const GB = 1e9;
function row(panel: Locator, list: string, name: string): Locator {
  return panel.getByRole('list', { name: list, exact: true }).locator('> li').filter({ hasText: name });
}

test('the quota is a bar, and what has begun is part of it', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const meter = panel.getByRole('meter', { name: 'Use of the quota' });
  await expect(meter).toHaveAttribute('aria-valuenow', String(4.6 * GB));
  await expect(meter).toHaveAttribute('aria-valuemax', String(50 * GB));
  await expect(meter).toContainText(
    '4.6 GB of 50.0 GB used · 3.1 GB of it incoming · 120 GB free on the volume'
  );
  standin.quota = null;
  await panel.getByRole('button', { name: 'Refresh' }).click();
  const volume = panel.getByRole('meter', { name: 'Use of the volume' });
  await expect(volume).toContainText('4.6 GB used');
  await expect(volume).toHaveAttribute('aria-valuemax', String(124.6 * GB));
});

test('another tool’s copy is told apart, and deleting it asks about whose files they are', async ({
  page
}) => {
  const standin = standinWithCopies();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const theirs = row(panel, 'Also on this disk', 'Qwen3-8B');
  await expect(theirs).toContainText('Hugging Face cache');
  await expect(theirs).toContainText(THEIRS);
  await expect(panel.getByRole('list', { name: 'Cache', exact: true })).not.toContainText('Qwen3-8B');
  await theirs.getByRole('button', { name: /^Delete/ }).click();
  const dialog = page.getByRole('dialog', {
    name: 'Delete the files of Qwen/Qwen3-8B from the Hugging Face cache?'
  });
  await expect(dialog).toContainText(THEIRS);
  // JupyterLab gives a dialog the focus a moment after its content.
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await page.keyboard.press('Escape');
  expect(standin.asked).toEqual([]);
  await theirs.getByRole('button', { name: /^Delete/ }).click();
  await dialog.getByRole('button', { name: 'Delete these files' }).click();
  await expect(theirs).toHaveCount(0);
  await expect
    .poll(() => standin.asked)
    .toEqual(['DELETE models/cache/huggingface:Qwen_Qwen3-8B?owner=huggingface']);
});

test('what a deletion left is named', async ({ page }) => {
  const standin = new Standin();
  standin.left = ['Qwen_Qwen3-0.6B/notes.txt'];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Delete Qwen/Qwen3-0.6B from the cache' }).click();
  await page.locator('.jp-Dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.locator('.Toastify__toast').filter({ hasText: 'Kept' })).toContainText(
    'Qwen_Qwen3-0.6B/notes.txt'
  );
});

test('another tool’s copy may be used where it is', async ({ page }) => {
  const standin = standinWithCopies();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'More for Qwen/Qwen3-8B' }).click();
  await page.getByRole('menuitem', { name: 'Use it where it is, without copying' }).click();
  await expect
    .poll(() => standin.asked.at(-1))
    .toBe('POST models/download {"model_name":"Qwen/Qwen3-8B","in_place":true}');
});

test('a pin is a switch that keeps the focus', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const pin = panel.getByRole('button', { name: 'Pin Qwen/Qwen3-0.6B' });
  await expect(pin).toHaveAttribute('aria-pressed', 'false');
  await pin.focus();
  await page.keyboard.press('Enter');
  await expect(pin).toHaveAttribute('aria-pressed', 'true');
  await expect(row(panel, 'Cache', 'Qwen3-0.6B')).toContainText('Pinned');
  await expect(pin).not.toHaveAttribute('aria-busy');
  await expect(pin).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(pin).toHaveAttribute('aria-pressed', 'false');
  await expect
    .poll(() => standin.asked)
    .toEqual(['POST models/cache/Qwen_Qwen3-0.6B/pin', 'DELETE models/cache/Qwen_Qwen3-0.6B/pin']);
});

test('two revisions of a model stand below its name', async ({ page }) => {
  const standin = standinWithCopies();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const copies = panel.getByRole('list', { name: 'Copies of Qwen/Qwen3-1.7B' }).getByRole('listitem');
  await expect(copies).toHaveCount(2);
  await expect(copies.first()).toContainText('master 70d244cc');
  await expect(copies.last()).toContainText('v1.0 0011aabb');
  await copies
    .last()
    .getByRole('button', { name: /^Delete/ })
    .click();
  await expect(page.locator('.jp-Dialog')).toContainText('Qwen/Qwen3-1.7B (v1.0 0011aabb)');
  await expect(page.locator('.jp-Dialog')).toContainText('at most 4.1 GB');
  await page.locator('.jp-Dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(copies).toHaveCount(0);
  await expect.poll(() => standin.asked).toEqual(['DELETE models/cache/Qwen_Qwen3-1.7B@0011aabbccdd']);
});

test('a model is verified from its menu by keyboard, and repaired where damage was found', async ({
  page
}) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const entry = row(panel, 'Cache', 'Qwen3-0.6B');
  await entry.getByRole('button', { name: 'More for Qwen/Qwen3-0.6B' }).focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(entry.getByRole('progressbar', { name: 'Verify Qwen/Qwen3-0.6B' })).toBeVisible();
  standin.jobs[0] = job('verify-1', 'succeeded', {
    kind: 'verify',
    params: { model_name: 'Qwen/Qwen3-0.6B' },
    result: { ok: false, missing: [], wrong: ['model.safetensors'], checked_bytes: 1.5 * GB }
  });
  await expect(entry).toContainText('Damaged');
  const card = row(panel, 'Jobs', 'Verify Qwen/Qwen3-0.6B');
  await expect(card.getByRole('alert')).toContainText('model.safetensors');
  await expect(card.getByRole('button', { name: 'Repair Qwen/Qwen3-0.6B' })).toBeVisible();
  await entry.getByRole('button', { name: 'Repair Qwen/Qwen3-0.6B' }).click();
  await expect(entry.getByRole('progressbar', { name: 'Repair Qwen/Qwen3-0.6B' })).toBeVisible();
  await expect
    .poll(() => standin.asked)
    .toEqual(['POST models/cache/Qwen_Qwen3-0.6B/verify', 'POST models/cache/Qwen_Qwen3-0.6B/repair']);
});

test('what a download would do is shown before it starts', async ({ page }) => {
  const standin = new Standin();
  standin.plan = plan('Qwen/Qwen3-1.7B', { to_evict: ['Qwen/Qwen3-14B'] });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const ask = panel.getByRole('button', { name: 'Before the download of Qwen/Qwen3-1.7B' });
  await ask.click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toMatchAriaSnapshot(`
    - text: Download Qwen/Qwen3-1.7B
    - note:
      - strong: To make room, the models used longest ago are deleted
      - paragraph: Qwen/Qwen3-14B
    - term: To download
    - definition: 5.2 GB
    - term: On this disk already
    - definition: 2.8 GB
    - term: From
    - definition: ModelScope, Hugging Face, mirror 10.0.0.5:8900
    - term: Time
    - definition: about 48 sec at 108 MB/s
    - term: Room
    - definition: 5.2 GB needed, 120 GB free
  `);
  await expect(dialog.getByRole('row')).toHaveText([
    'FileSizeWhat happens',
    'tokenizer.json11.0 MBOn this disk: Hugging Face cache',
    'model-00001-of-00002.safetensors4.0 GB1.2 GB left',
    'model-00002-of-00002.safetensors4.0 GBDownload'
  ]);
  await expect(dialog).toContainText('1 file stays as it is');
  await expect(dialog.locator(':focus')).toHaveCount(1); // keys go there once it has the focus
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(ask).toBeFocused();
  expect(standin.asked).toHaveLength(1);
  await ask.click();
  await dialog.getByRole('button', { name: 'Download' }).click();
  await expect
    .poll(() => standin.asked.slice(1))
    .toEqual([
      'POST models/download {"model_name":"Qwen/Qwen3-1.7B","dry_run":true}',
      'POST models/download {"model_name":"Qwen/Qwen3-1.7B"}'
    ]);
});

test('a download that does not fit names what is missing and cannot be started', async ({ page }) => {
  const standin = new Standin();
  standin.plan = plan('Qwen/Qwen3-1.7B', {
    missing_bytes: 3.2 * GB,
    evictable: [['Qwen/Qwen3-0.6B', 1.5 * GB]]
  });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Before the download of Qwen/Qwen3-1.7B' }).click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog.getByRole('alert')).toContainText('Not enough room: 3.2 GB are missing');
  await expect(dialog.getByRole('alert')).toContainText('Qwen/Qwen3-0.6B · 1.5 GB');
  await expect(dialog.getByRole('button', { name: 'Download' })).toHaveCount(0);
});

test('an update shows what changed and fetches only that', async ({ page }) => {
  const standin = new Standin();
  const [kept, , , fetched] = standin.plan.files as object[];
  standin.plan = plan('Qwen/Qwen3-0.6B', { files: [kept, fetched], bytes_to_fetch: 4 * GB, is_update: true });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const check = async () => {
    await panel.getByRole('button', { name: 'More for Qwen/Qwen3-0.6B' }).click();
    await page.getByRole('menuitem', { name: 'Check for update…' }).click();
  };
  await check();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toContainText('Update Qwen/Qwen3-0.6B');
  await expect(dialog.getByRole('row')).toHaveCount(2);
  await dialog.getByRole('button', { name: 'Update' }).click();
  await expect
    .poll(() => standin.asked)
    .toEqual([
      'POST models/download {"model_name":"Qwen/Qwen3-0.6B","update":true,"dry_run":true}',
      'POST models/download {"model_name":"Qwen/Qwen3-0.6B","update":true}'
    ]);
  standin.plan = plan('Qwen/Qwen3-0.6B', { files: [kept], bytes_to_fetch: 0 });
  await check();
  await expect(dialog).toContainText('Qwen/Qwen3-0.6B is up to date');
  await expect(dialog.getByRole('button', { name: 'Update' })).toHaveCount(0);
});

test('what exceeds the quota whatever is deleted names no model to delete', async ({ page }) => {
  const standin = new Standin();
  standin.plan = plan('Qwen/Qwen3-1.7B', {
    quota: 6 * GB,
    over_quota_bytes: 0.7 * GB,
    evictable: [['Qwen/Qwen3-0.6B', 1.5 * GB]]
  });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Before the download of Qwen/Qwen3-1.7B' }).click();
  const alert = page.getByRole('dialog', { name: 'Download Qwen/Qwen3-1.7B' }).getByRole('alert');
  await expect(alert).toContainText('Over the quota by 700 MB');
  await expect(alert).toContainText('Raise MODEL_CACHE_QUOTA');
  await expect(alert).not.toContainText('Qwen/Qwen3-0.6B');
});

test('nothing of the panel is wider than a narrow sidebar', async ({ page }) => {
  await standinWithCopies().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await page.sidebar.setWidth(260, 'left');
  await expect(panel.getByRole('list', { name: 'Also on this disk' })).toBeVisible();
  const tooWide = () =>
    panel
      .locator('.jp-Qwen3ft-section')
      .evaluateAll(sections => sections.filter(each => each.scrollWidth > each.clientWidth).length);
  await expect.poll(tooWide).toBe(0);
});
