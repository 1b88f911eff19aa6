/** Hundreds of jobs and models: few rows at once, few requests, and every flow by keyboard. */

import type { Locator } from '@playwright/test';

import { expect, openPanel, test, violations } from './panel';
import { cached, job, model, Standin } from './standin';

const GB = 1e9;

function crowded(): Standin {
  const standin = new Standin();
  const numbers = Array.from({ length: 200 }, (_, index) => index);
  standin.models.push(...numbers.map(index => model(`me/m${index}`, { catalogued: false, cached: true })));
  standin.cached.push(...numbers.map(index => cached(`me/m${index}`)));
  standin.jobs.push(...numbers.map(index => job(`download-old-${index}`, 'succeeded')));
  return standin;
}

function rows(panel: Locator, name: string): Locator {
  return panel.getByRole('list', { name, exact: true }).locator('> li.jp-Qwen3ft-row');
}

test('long lists begin with what fills a panel, and go on by keyboard', async ({ page }) => {
  await crowded().install(page);
  await page.goto();
  const panel = await openPanel(page);
  for (const name of ['Models', 'Cache', 'Jobs']) {
    await expect(rows(panel, name)).toHaveCount(25);
  }
  const more = panel.getByRole('button', { name: 'Show 25 more of 178: Jobs' });
  await more.focus();
  await page.keyboard.press('Enter');
  await expect(rows(panel, 'Jobs')).toHaveCount(50);
  await expect(panel.getByRole('button', { name: 'Show 25 more of 153: Jobs' })).toBeFocused();
  expect(await violations(page)).toEqual([]);
});

test('what runs stands before what ran, however long ago it was begun', async ({ page }) => {
  const standin = crowded();
  standin.jobs.push(job('download-resumed', 'running', { title: 'Download me/resumed', created: 1 }));
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(rows(panel, 'Jobs').nth(1)).toContainText('Download me/resumed');
});

test('while a job runs that no event tells of, only that job is asked for', async ({ page }) => {
  const standin = crowded();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(rows(panel, 'Jobs')).toHaveCount(25);
  // Once the page has settled.
  await expect(async () => {
    const seen = standin.requests.length;
    await page.waitForTimeout(4000);
    const asked = standin.requests.slice(seen);
    expect(asked.length).toBeGreaterThan(1);
    expect([...new Set(asked)]).toEqual(['GET /dsw-12345/qwen3ft/jobs/download-1']);
  }).toPass();
});

test('a job says what tells it from others, and its loss as means that say over how much', async ({
  page
}) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const card = rows(panel, 'Jobs').filter({ hasText: 'Fine-tune' });
  await expect(card).toContainText('finetune-1');
  await expect(card).toContainText('Datatickets.jsonl');
  await expect(card).toContainText('Folderruns/support-bot');
  await expect(card).toContainText('1.93 → 0.44, means of the first and the last 10 steps');
});

test('a wrong revision that failed leaves the model’s own button alone', async ({ page }) => {
  const standin = new Standin();
  standin.jobs = [
    job('download-nope', 'failed', {
      title: 'Download Qwen/Qwen3-4B (nope)',
      params: { model_name: 'Qwen/Qwen3-4B', revision: 'nope' },
      error: { code: 'revision-not-found', message: 'There is no nope.', hint: '' }
    })
  ];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(rows(panel, 'Jobs')).toContainText('There is no nope.');
  const row = rows(panel, 'Models').filter({ hasText: 'recommended' });
  await expect(row.getByRole('alert')).toHaveCount(0);
  await panel.getByRole('button', { name: 'Download Qwen/Qwen3-4B', exact: true }).click();
  await expect.poll(() => standin.asked).toEqual(['POST models/download {"model_name":"Qwen/Qwen3-4B"}']);
});

test('what is cleared is forgotten in one request, and nothing is asked of what is gone', async ({
  page
}) => {
  const standin = crowded();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: /^Clear finished/ }).click();
  await expect(rows(panel, 'Jobs')).toHaveCount(1);
  await expect.poll(() => standin.asked).toEqual(['DELETE jobs']);
  expect(standin.requests.filter(each => each.includes('download-old'))).toEqual([]);
});

test('a begun download alone is no “0 models”', async ({ page }) => {
  const standin = new Standin();
  Object.assign(standin, { cached: [], incoming: 3 * GB, used: 3 * GB + 4 });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByRole('meter')).toContainText('3.0 GB of it incoming');
  await expect(panel).not.toContainText('0 models');
});

test('a name without an owner is answered beside its field, by keyboard', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const field = panel.getByRole('textbox', { name: 'Another model of the hub' });
  await field.fill('foo');
  await page.keyboard.press('Enter');
  await expect(panel.getByRole('alert').filter({ hasText: '“foo” is no model’s name' })).toBeVisible();
  await expect(panel.getByRole('alert').filter({ hasText: '“foo”' })).toBeInViewport();
  await expect(field).toHaveAttribute('aria-invalid', 'true');
  await expect(field).toBeFocused();
  expect(await violations(page)).toEqual([]);
  await field.fill('');
  await page.keyboard.press('Enter');
  await expect(panel.getByRole('alert').filter({ hasText: 'Write a name first' })).toBeVisible();
  await field.fill('someone/their-model');
  await page.keyboard.press('Enter');
  await expect
    .poll(() => standin.asked)
    .toEqual(['POST models/download {"model_name":"someone/their-model"}']);
});

test('a server that does not answer is told with an advice, not in the browser’s words', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(rows(panel, 'Jobs').first()).toBeVisible();
  await page.route(/\/qwen3ft\//, route => route.abort());
  await panel.getByRole('button', { name: 'Refresh' }).click();
  const alert = panel.getByRole('alert').filter({ hasText: 'The server does not answer' });
  await expect(alert).toContainText('What runs there goes on');
  await expect(alert).not.toContainText('fetch');
  await expect(rows(panel, 'Jobs').first()).toBeVisible();
});

test('a job that was stopped says how far it came', async ({ page }) => {
  const standin = new Standin();
  const progress = {
    phase: 'transferring',
    phase_words: 'Downloading',
    done: 3.1 * GB,
    total: 8.06 * GB,
    unit: 'bytes'
  };
  standin.jobs = [job('download-7', 'stopped', { progress })];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(rows(panel, 'Jobs')).toContainText('Reached: 3.1 GB of 8.1 GB');
  await expect(panel.getByRole('progressbar')).toHaveCount(0);
});

test('models that stay although all were to go are named with the reason', async ({ page }) => {
  const standin = new Standin();
  standin.kept = ['Qwen/Qwen3-0.6B stays: the running job download-1 uses it.'];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Delete all models in the cache' }).click();
  await page.locator('.jp-Dialog').getByRole('button', { name: 'Delete all' }).click();
  await expect(page.locator('.Toastify__toast')).toContainText('the running job download-1 uses it');
});
