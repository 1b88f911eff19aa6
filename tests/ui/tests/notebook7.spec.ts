/** Notebook 7, which the same server serves: its pages have one thing in their main area, and what we open goes below. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { Locator } from '@playwright/test';

import { test as labTest } from './lab';
import { expect, PANEL, putNotebook, violations } from './panel';

const PRACTICE = 'qwen3ft/Qwen3-Practice';

/** A kernel or a fine-tune starts, on a machine that may be busy. */
const SLOW = { timeout: 180_000 };

const test = labTest.extend<{ complaints: string[] }>({
  waitForApplication: async ({}, use) => {
    await use(async page => {
      await page.locator('#main-panel').waitFor();
    });
  },
  /** What the page complains of on its console, as far as we have a part in it. */
  complaints: [
    async ({ page }, use) => {
      const found: string[] = [];
      const note = (said: string) => /qwen3/i.test(said) && found.push(said);
      page.on('pageerror', error => note(String(error.stack)));
      page.on(
        'console',
        message => message.type() === 'error' && note(`${message.text()} (${message.location().url})`)
      );
      await use(found);
      expect(found).toEqual([]);
    },
    { auto: true }
  ]
});

test.describe.configure({ timeout: 400_000 });
test.use({ labOf: 'notebook7', appPath: '', viewport: { width: 1280, height: 1000 } });

/** Choose a command by its name, as people do; a page that has just come up knows no keys yet, and may take the focus. */
async function choose(page: IJupyterLabPageFixture, name: string): Promise<void> {
  const palette = page.locator('#modal-command-palette');
  await expect(async () => {
    await page.keyboard.press('Control+Shift+C');
    await palette.locator('input').fill(name, { timeout: 2000 });
  }).toPass(SLOW);
  await palette.locator('.lm-CommandPalette-item', { hasText: name }).first().click();
}

/** What is open below the page. */
function below(page: IJupyterLabPageFixture, content: string): Locator {
  return page.locator(`#jp-down-stack ${content}:visible`);
}

async function untilBelow(page: IJupyterLabPageFixture, view: Locator): Promise<void> {
  await expect(view).toBeVisible(SLOW);
  const [main, down] = [page.locator('#main-panel'), page.locator('#jp-down-stack')];
  // Large enough to work in: Notebook 7 itself shows the titles of tabs alone.
  await expect.poll(async () => (await down.boundingBox())!.height).toBeGreaterThan(300);
  const { y, height } = (await main.boundingBox())!;
  expect((await down.boundingBox())!.y).toBeGreaterThanOrEqual(y + height - 1);
}

test('a cell that fine-tunes is live in a notebook, also after a reload, and is stopped there', async ({
  page,
  baseURL
}) => {
  await putNotebook(page.request, baseURL!, 'seven.ipynb', [
    '%load_ext qwen3ft_jupyter\nfrom qwen3ft_jupyter.practice import data_files\ntrain = str(data_files()[0])',
    `%%qwen3ft finetune\nmodel: ${PRACTICE}\ndata: $train\noutput_dir: runs/seven\nepochs: 400`
  ]);
  await page.goto('notebooks/seven.ipynb');
  await choose(page, 'Run All Cells');
  const output = page.locator('.jp-Qwen3ft-output');
  await expect(output).toContainText(`Fine-tune ${PRACTICE}`, SLOW);
  const progress = output.getByRole('progressbar');
  await expect.poll(async () => Number(await progress.getAttribute('value')), SLOW).toBeGreaterThan(0);
  await expect(output.getByRole('img', { name: /^Loss .* steps$/ })).toBeVisible(SLOW);
  expect(await violations(page, '.jp-Qwen3ft-output')).toEqual([]);
  await page.reload();
  const before = Number(await progress.getAttribute('value', SLOW));
  await expect.poll(async () => Number(await progress.getAttribute('value')), SLOW).toBeGreaterThan(before);
  await output.getByRole('button', { name: /^Stop/ }).click();
  await expect(output).toContainText('Stopped', SLOW);
});

test('the panel is opened by the toolbar of a notebook, and run and playground open below the notebook', async ({
  page,
  lab,
  baseURL
}) => {
  await putNotebook(page.request, baseURL!, 'run.ipynb', ['']);
  const id = lab.fineTune('first');
  await expect.poll(() => lab.stateOf(id), SLOW).toBe('succeeded');
  await page.goto('notebooks/run.ipynb');
  await page.getByRole('button', { name: 'Download, load and fine-tune Qwen3 models' }).click();
  const panel = page.locator(PANEL);
  await panel
    .getByRole('list', { name: 'Jobs' })
    .getByRole('button', { name: `Fine-tune ${PRACTICE} → first`, exact: true })
    .click();
  const run = below(page, '.jp-Qwen3ft-page');
  await untilBelow(page, run);
  await expect(run.getByRole('slider', { name: /^Loss:/ })).toHaveAttribute(
    'aria-valuetext',
    /^Step 37: /,
    SLOW
  );
  expect(await violations(page)).toEqual([]);
  expect(await violations(page, '.jp-Qwen3ft-page')).toEqual([]);
  await run.getByRole('button', { name: 'Chat with the result in the playground' }).click();
  const playground = below(page, '.jp-Qwen3ft-playground');
  await untilBelow(page, playground);
  await playground.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(playground.getByText('Loaded:')).toBeVisible(SLOW);
  await playground.locator('form textarea').fill('Who are you?');
  await playground.locator('form textarea').press('Enter');
  await expect(playground.getByRole('region', { name: 'Base model' })).toContainText(
    'I am a practice model',
    SLOW
  );
  expect(await violations(page, '.jp-Qwen3ft-playground')).toEqual([]);
  // The run is one tab beside it, and is found again.
  await page.locator('#jp-down-stack').getByRole('tab', { name: 'Run first' }).click();
  await expect(run).toBeVisible();
});

test('the page of files has the panel by the command palette, and the form opens below the files', async ({
  page
}) => {
  await page.goto('tree');
  await choose(page, 'Show the Qwen3 Panel');
  const panel = page.locator(PANEL);
  await expect(panel.getByRole('list', { name: 'Models', exact: true })).toContainText('Qwen3-0.6B', SLOW);
  expect(await violations(page)).toEqual([]);
  await choose(page, 'Fine-tune a Qwen3 Model');
  const form = below(page, '.jp-Qwen3ft-form');
  await untilBelow(page, form);
  expect(await violations(page, '.jp-Qwen3ft-form')).toEqual([]);
});
