/** Against the real server: nothing is answered by the browser here. */

import { expect, openPanel, test, violations } from './panel';

const PRACTICE = 'qwen3ft/Qwen3-Practice';

test('a model is downloaded from the panel, seen in Cache, and deleted', async ({ page }) => {
  test.setTimeout(240_000);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByText('No model is on this disk yet.')).toBeVisible();
  expect(await violations(page)).toEqual([]);

  await panel.getByRole('textbox', { name: 'Another model of the hub' }).fill(PRACTICE);
  await panel.getByRole('button', { name: 'Download the model named here' }).click();
  const cached = panel
    .getByRole('list', { name: 'Cache' })
    .getByRole('listitem')
    .filter({ hasText: 'Qwen3-Practice' });
  // A failure ends the waiting.
  await expect(cached.or(panel.getByRole('alert')).first()).toBeVisible({ timeout: 180_000 });
  await expect(cached).toBeVisible();
  await expect(cached).toContainText('Verified');
  await expect(panel.getByRole('status')).toHaveText(`Download ${PRACTICE}: Done`);

  await panel.getByRole('button', { name: `Delete ${PRACTICE} from the cache` }).click();
  await page.locator('.jp-Dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(panel.getByText('No model is on this disk yet.')).toBeVisible();
});

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
