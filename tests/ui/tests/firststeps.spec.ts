/** What the panel says to somebody who has never used it, once. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { Locator } from '@playwright/test';

import { expect, openPanel, test, violations } from './panel';
import { cached, job, model, Standin } from './standin';

/** A server on which nothing was ever done. */
function emptyStandin(): Standin {
  const standin = new Standin();
  Object.assign(standin, { cached: [], jobs: [], incoming: 0, used: 0 });
  standin.models.push(model('qwen3ft/Qwen3-Practice', { kind: '', catalogued: false, role: 'practice' }));
  return standin;
}

function hint(panel: Locator): Locator {
  return panel.getByRole('note').filter({ hasText: 'First steps' });
}

/** What is written into the user's settings of the panel. */
async function written(page: IJupyterLabPageFixture): Promise<string[]> {
  const bodies: string[] = [];
  page.on('request', request => {
    if (request.method() === 'PUT' && decodeURIComponent(request.url()).includes('qwen3ft-jupyter:plugin')) {
      bodies.push(JSON.stringify(request.postDataJSON()));
    }
  });
  return bodies;
}

test('a first panel says what to do first; closed, it does not come back', async ({ page }) => {
  const standin = emptyStandin();
  await standin.install(page);
  const kept = await written(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(hint(panel)).toContainText('right-click a file of your data');
  await expect(hint(panel).getByRole('button', { name: /^Download the practice model/ })).toBeVisible();
  await expect(hint(panel).getByRole('button', { name: 'Download Qwen3-0.6B: 1.5 GB' })).toBeVisible();
  // It is said once, not in the empty cache as well.
  await expect(panel.getByRole('button', { name: /^Download the practice model/ })).toHaveCount(1);
  expect(await violations(page)).toEqual([]);

  await hint(panel).getByRole('button', { name: 'Dismiss' }).press('Enter');
  await expect(hint(panel)).toHaveCount(0);
  await expect(panel.locator(':focus')).toHaveCount(1);
  await expect.poll(() => kept.length).toBe(1);
  expect(kept[0]).toContain('firstSteps');
  await expect(panel.getByRole('button', { name: /^Download the practice model/ })).toHaveCount(1);
  await page.reload();
  await openPanel(page);
  await expect(panel.getByText('Nothing has run yet.')).toBeVisible();
  await expect(hint(panel)).toHaveCount(0);
});

test('once a model is here it leads on to a fine-tune, and with the first of those it goes for good', async ({
  page
}) => {
  const standin = emptyStandin();
  await standin.install(page);
  const kept = await written(page);
  await page.goto();
  const panel = await openPanel(page);
  await hint(panel)
    .getByRole('button', { name: /^Download the practice model/ })
    .click();
  await expect
    .poll(() => standin.asked)
    .toEqual(['POST models/download {"model_name":"qwen3ft/Qwen3-Practice"}']);
  standin.jobs = [job('download-1', 'succeeded', { params: { model_name: 'qwen3ft/Qwen3-Practice' } })];
  standin.cached = [cached('qwen3ft/Qwen3-Practice')];
  await panel.getByRole('button', { name: 'Refresh' }).click();
  await expect(hint(panel)).toHaveCount(0);
  const next = panel.getByRole('note').filter({ hasText: 'Next step' });
  await expect(next).toContainText('right-click a file');
  expect(await violations(page)).toEqual([]);
  expect(kept).toEqual([]);
  await next.getByRole('button', { name: /^Fine-tune qwen3ft\/Qwen3-Practice/ }).click();
  await expect(page.getByRole('tab', { name: 'Fine-tune: Qwen3-Practice' })).toBeVisible();

  standin.jobs = [job('finetune-1', 'failed', { kind: 'finetune' })];
  await panel.getByRole('button', { name: 'Refresh' }).click();
  await expect(next).toHaveCount(0);
  await expect.poll(() => kept.length).toBe(1);
  standin.jobs = [];
  await panel.getByRole('button', { name: 'Refresh' }).click();
  await expect(panel.getByText('Nothing has run yet.')).toBeVisible();
  await expect(next).toHaveCount(0);
});

test.describe('somebody who has switched it off', () => {
  test.use({ mockSettings: { 'qwen3ft-jupyter:plugin': { firstSteps: false } } });

  test('sees none of it', async ({ page }) => {
    await emptyStandin().install(page);
    await page.goto();
    const panel = await openPanel(page);
    await expect(panel.getByText('Nothing has run yet.')).toBeVisible();
    await expect(hint(panel)).toHaveCount(0);
  });
});

test.describe('in Chinese', () => {
  test.use({ mockSettings: { '@jupyterlab/translation-extension:plugin': { locale: 'zh_CN' } } });

  test('it is said as well', async ({ page }) => {
    await emptyStandin().install(page);
    await page.goto();
    const panel = await openPanel(page);
    await expect(panel.getByRole('note').filter({ hasText: '入门步骤' })).toContainText('用它微调 Qwen3');
    await expect(panel.getByRole('combobox', { name: '显示哪些规模' })).toContainText('1B 及以下');
    await expect(panel.getByRole('combobox', { name: '显示哪些用途' })).toContainText('按需思考');
  });
});
