/** Against the real server: nothing is answered by the browser here. */

import { chmodSync, closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { expect, openPanel, test, violations } from './panel';

const PRACTICE = 'qwen3ft/Qwen3-Practice';

test('a model is downloaded from the panel, seen in Cache, mended, and deleted', async ({ page }) => {
  test.setTimeout(300_000);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByText('No model is on this disk yet.')).toBeVisible();
  expect(await violations(page)).toEqual([]);

  await panel.getByRole('textbox', { name: 'Another model of the hub' }).fill(PRACTICE);
  await panel
    .locator('.jp-Qwen3ft-other')
    .getByRole('button', { name: `Before the download of ${PRACTICE}` })
    .click();
  const dialog = page.locator('.jp-Dialog');
  // A failure ends the waiting.
  await expect(dialog.or(panel.getByRole('alert')).first()).toBeVisible({ timeout: 180_000 });
  await expect(dialog.getByRole('row').filter({ hasText: '.safetensors' }).first()).toContainText('Download');
  await dialog.getByRole('button', { name: 'Download' }).click();
  const cached = panel
    .getByRole('list', { name: 'Cache' })
    .getByRole('listitem')
    .filter({ hasText: 'Qwen3-Practice' });
  await expect(cached.or(panel.getByRole('alert')).first()).toBeVisible({ timeout: 180_000 });
  await expect(cached).toBeVisible();
  await expect(cached).toContainText('Verified');
  await expect(panel.getByRole('status')).toHaveText(`Download ${PRACTICE}: Succeeded`);
  await expect(panel.getByRole('meter', { name: 'Use of the volume' })).toBeVisible();

  await cached.getByRole('button', { name: `Pin ${PRACTICE}` }).click();
  await expect(cached).toContainText('Pinned');

  const damaged = damage((await cached.locator('.jp-Qwen3ft-meta').first().getAttribute('title')) ?? '');
  await cached.getByRole('button', { name: `More for ${PRACTICE}` }).click();
  await page.getByRole('menuitem', { name: /^Verify/ }).click();
  await expect(cached).toContainText('Damaged', { timeout: 60_000 });
  await cached.getByRole('button', { name: `Repair ${PRACTICE}` }).click();
  await expect(cached).not.toContainText('Damaged', { timeout: 120_000 });
  await expect(panel.getByRole('list', { name: 'Jobs' })).toContainText(`Repaired${damaged}`);
  await expect(cached).toContainText('Pinned');

  await panel.getByRole('button', { name: `Delete ${PRACTICE} from the cache` }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await expect(panel.getByText('No model is on this disk yet.')).toBeVisible();
});

/** Flip a byte of a cached model's weights, as a failing disk does; returns the name of the file. */
function damage(folder: string): string {
  const name = readdirSync(folder).find(each => each.endsWith('.safetensors')) ?? '';
  const path = join(folder, name);
  chmodSync(path, 0o644);
  const file = openSync(path, 'r+');
  const position = statSync(path).size - 1;
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, position);
  byte[0] ^= 1;
  writeSync(file, byte, 0, 1, position);
  closeSync(file);
  return name;
}

test('a name that nobody published is refused, with the one that is meant', async ({ page }) => {
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('textbox', { name: 'Another model of the hub' }).fill('Qwen/Qwen3-7B-Instruct');
  await panel.getByRole('button', { name: 'Download the model named here' }).click();
  const alert = panel.getByRole('alert').filter({ hasText: 'Qwen never published a model of that name' });
  await expect(alert).toContainText('Qwen/Qwen3-8B');
  await alert.getByRole('button', { name: 'Dismiss' }).click();
  await expect(alert).toHaveCount(0);
});
