/** The list of models, cut down by size and role. */

import type { Locator } from '@playwright/test';

import { expect, openPanel, PANEL, test, violations } from './panel';
import { model, Standin } from './standin';

/** A stand-in that knows a model of each role, one of them by its name alone. */
function standinWithRoles(): Standin {
  const standin = new Standin();
  standin.models.push(
    model('Qwen/Qwen3-30B-A3B-Thinking-2507', { kind: 'moe', parameters: 30.5e9, download_bytes: 61.1e9 }),
    model('Qwen/Qwen3-Embedding-0.6B', { kind: '', parameters: null, cached: true, catalogued: false })
  );
  return standin;
}

function rows(panel: Locator): Locator {
  return panel.getByRole('list', { name: 'Models', exact: true }).locator('> li');
}

test('the list is cut down by size and role, which stays so when the page is loaded again', async ({
  page
}) => {
  await standinWithRoles().install(page);
  await page.goto();
  const panel = await openPanel(page);
  const size = panel.getByRole('combobox', { name: 'Which sizes' });
  const role = panel.getByRole('combobox', { name: 'Which roles' });
  await expect(rows(panel)).toHaveCount(9);
  await expect(panel.getByText(/of 9 models/)).toHaveCount(0);
  await size.selectOption({ label: 'Up to 1B' });
  await expect(rows(panel)).toHaveCount(3);
  await expect(panel.getByText('3 of 9 models')).toBeVisible();
  const kept = page.waitForResponse(
    response =>
      response.request().method() === 'PUT' &&
      response.request().postDataJSON()?.data?.['qwen3ft-jupyter:filter']?.role === 'embedding'
  );
  await role.selectOption({ label: 'Embedding' });
  await expect(rows(panel)).toHaveCount(1);
  await expect(rows(panel)).toContainText('Qwen3-Embedding-0.6B');
  await kept;
  expect(await violations(page)).toEqual([]);

  await page.reload();
  await openPanel(page);
  await expect(rows(panel)).toHaveCount(1);
  await expect(size).toHaveValue('1');
  await expect(role).toHaveValue('embedding');
  await panel.getByRole('button', { name: /^Clear the filters/ }).press('Enter');
  await expect(rows(panel)).toHaveCount(9);
  await expect(size).toHaveValue('all');
  // Whoever used the keyboard is still in the panel.
  await expect(panel.locator(':focus')).toHaveCount(1);
});

test('a mixture of experts counts with all that has to be in memory, and has the role of its name', async ({
  page
}) => {
  await standinWithRoles().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('combobox', { name: 'Which sizes' }).selectOption({ label: 'Over 14B' });
  await expect(rows(panel)).toHaveCount(2);
  await panel.getByRole('combobox', { name: 'Which roles' }).selectOption({ label: 'Thinking' });
  await expect(rows(panel)).toHaveCount(1);
  await expect(rows(panel)).toContainText('Qwen3-30B-A3B-Thinking-2507');
});

test('where nothing is left the list says what hides how many, and each can be cleared by keyboard', async ({
  page
}) => {
  await standinWithRoles().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('searchbox', { name: 'Filter models' }).fill('qwen3-8b');
  await panel.getByRole('combobox', { name: 'Which sizes' }).selectOption({ label: 'Over 14B' });
  await panel.getByRole('combobox', { name: 'Which roles' }).selectOption({ label: 'Base' });
  const hiding = panel.getByRole('list', { name: 'What hides them' });
  await expect(hiding.getByRole('listitem')).toContainText([
    '“qwen3-8b” hides 8 models',
    '“Over 14B” hides 7 models',
    '“Base” hides 8 models'
  ]);
  expect(await violations(page)).toEqual([]);
  await hiding.getByRole('button', { name: 'Clear: Over 14B' }).focus();
  await page.keyboard.press('Enter');
  await expect(hiding.getByRole('listitem')).toHaveCount(2);
  await hiding.getByRole('button', { name: 'Clear: qwen3-8b' }).press('Enter');
  await expect(hiding).toHaveCount(0);
  await expect(rows(panel)).toHaveCount(1);
  await expect(rows(panel)).toContainText('Qwen3-0.6B-Base');
});

for (const width of [200, 300]) {
  test(`the choices are in sight in a panel of ${width} pixels, at 200 % as well`, async ({ page }) => {
    await standinWithRoles().install(page);
    await page.goto();
    const panel = await openPanel(page);
    await page.sidebar.setWidth(width, 'left');
    for (const size of [
      { width: 1280, height: 900 },
      { width: 640, height: 450 }
    ]) {
      await page.setViewportSize(size);
      const box = await page.locator(PANEL).boundingBox();
      for (const name of ['Which models', 'Which sizes', 'Which roles']) {
        const choice = panel.getByRole('combobox', { name });
        await choice.scrollIntoViewIfNeeded();
        const own = await choice.boundingBox();
        expect(own?.width ?? 0).toBeGreaterThanOrEqual(60);
        expect((own?.x ?? 0) + (own?.width ?? 0)).toBeLessThanOrEqual((box?.x ?? 0) + (box?.width ?? 0));
      }
    }
  });
}
