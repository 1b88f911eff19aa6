/** The run of a fine-tune in the main area, with real fine-tunes of the practice model. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { Locator } from '@playwright/test';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Lab } from './lab';
import { test } from './lab';
import { expect, openPanel, violations } from './panel';

const VIEW = '.jp-Qwen3ft-page';

/** A real fine-tune on a machine that does other things, too. */
const LONG = { timeout: 180_000 };

test.describe.configure({ mode: 'serial' });
test.use({ labOf: 'run', viewport: { width: 1280, height: 1000 } });

const runs: Record<string, string> = {};

/** Open a run from the list of jobs, as people do. */
async function openRun(page: IJupyterLabPageFixture, folder: string): Promise<Locator> {
  const panel = await openPanel(page);
  const title = panel
    .getByRole('list', { name: /^(Jobs|任务)$/ })
    .getByRole('button', { name: new RegExp(`^(Fine-tune|微调) .* → ${folder}$`) });
  await title.focus();
  await page.keyboard.press('Enter');
  return view(page);
}

function view(page: IJupyterLabPageFixture): Locator {
  return page.locator(`${VIEW}:visible`);
}

async function untilEnded(lab: Lab, id: string): Promise<void> {
  await expect.poll(() => lab.stateOf(id), LONG).toBe('succeeded');
}

test('a run is live: its curve grows, it is stopped with a checkpoint, and resumed to its report', async ({
  page,
  lab
}) => {
  test.setTimeout(400_000);
  runs.first = lab.fineTune('first', {
    epochs: 8,
    prompts: ['<img src=x onerror="document.title=\'owned\'">']
  });
  await lab.holdAt(runs.first, 'first', 5);
  await page.goto();
  const run = await openRun(page, 'first');
  await expect(run.getByRole('heading', { level: 2 })).toHaveText('Fine-tune qwen3ft/Qwen3-Practice → first');
  const loss = run.getByRole('slider', { name: /^Loss:/ });
  await expect(loss).toHaveAttribute('aria-valuetext', /^Step \d+: Training loss \d/, LONG);
  const missing = async () => lab.stepsOf('first') - Number(await loss.getAttribute('aria-valuemax'));
  await expect.poll(missing, LONG).toBe(0);
  lab.release(runs.first);
  await lab.holdAt(runs.first, 'first', lab.stepsOf('first') + 10);
  await expect.poll(missing, LONG).toBe(0);
  await run.getByRole('button', { name: /^Stop/ }).click();
  await expect(run.locator('.jp-Qwen3ft-runHead')).toContainText('Stopping');
  lab.release(runs.first);
  await expect(run.getByRole('button', { name: /^Resume/ })).toBeVisible(LONG);
  await expect(run).toContainText('Reached:');
  await run.getByRole('button', { name: /^Resume/ }).click();
  await expect(run.locator('.jp-Qwen3ft-runHead')).toContainText('Succeeded', LONG);
  await expect(run.getByRole('button', { name: /^Merge…/ })).toBeVisible();
  await expect(loss).toHaveAttribute('aria-valuemax', '296');
  const plan = run.getByRole('group', { name: 'Planned and actual' });
  await expect(plan.getByRole('row', { name: /^Steps/ })).toHaveText('Steps296296100%');
  await run.getByRole('tab', { name: 'Report and answers' }).click();
  await expect(run.getByRole('group', { name: 'Scores' })).toContainText('Perplexity');
  const answers = run.getByRole('article').first();
  await expect(answers).toContainText('<img src=x onerror=');
  await expect(answers.locator('dt')).toHaveText(['Before', 'Step 74', 'Step 148', 'Step 222', 'After']);
  await expect(page.locator('[onerror]')).toHaveCount(0);
  expect(await page.title()).not.toBe('owned');
});

test('a view comes back with the page, and there is one for each run', async ({ page, lab }) => {
  await page.goto();
  await openRun(page, 'first');
  await openRun(page, 'first');
  await expect(page.getByRole('tab', { name: 'Run first' })).toHaveCount(1);
  // The layout is saved a moment after it has changed.
  const saved = page.waitForResponse(
    answer => answer.url().includes('/workspaces') && answer.request().method() === 'PUT'
  );
  await page.evaluate(() =>
    window.jupyterapp.commands.execute('apputils:save-workspace').catch(() => undefined)
  );
  await saved.catch(() => undefined);
  await page.reload({ waitForIsReady: false });
  await expect(view(page).getByRole('heading', { level: 2 })).toContainText('→ first', LONG);
  expect(lab.stateOf(runs.first)).toBe('succeeded');
});

test('curves are read and zoomed with the keyboard, and are a table as well', async ({ page }) => {
  await page.goto();
  const run = await openRun(page, 'first');
  const loss = run.getByRole('slider', { name: /^Loss:/ });
  await loss.focus();
  await page.keyboard.press('Home');
  await expect(loss).toHaveAttribute('aria-valuetext', /^Step 0: Training loss –; Loss on held-out rows \d/);
  await page.keyboard.press('ArrowRight');
  await expect(loss).toHaveAttribute('aria-valuetext', /^Step 1: Training loss \d/);
  await run.getByRole('button', { name: 'Zoom in' }).click();
  await expect(loss).toHaveAttribute('aria-valuemin', '74');
  await expect(loss).toHaveAttribute('aria-valuemax', '222');
  await run.getByRole('button', { name: 'Log scale' }).click();
  await run.getByRole('button', { name: 'Values as a table' }).click();
  const table = run.getByRole('group', { name: 'Values of the curves' });
  await expect(table.getByRole('rowheader').first()).toHaveText('74');
  await run.getByRole('button', { name: 'All steps' }).click();
  await expect(table.getByRole('rowheader').last()).toHaveText('296');
  await run.getByRole('button', { name: 'Values as a table' }).click();
  // With the mouse: a part is drawn over, a double click shows all.
  const box = await loss.boundingBox();
  expect(box).not.toBeNull();
  const [left, middle, right] = [0.3, 0.5, 0.6].map(part => box!.x + part * box!.width);
  await page.mouse.move(left, box!.y + 90);
  await page.mouse.down();
  await page.mouse.move(right, box!.y + 90);
  await page.mouse.up();
  await expect.poll(async () => Number(await loss.getAttribute('aria-valuemin'))).toBeGreaterThan(50);
  await page.mouse.dblclick(middle, box!.y + 90);
  await expect(loss).toHaveAttribute('aria-valuemin', '0');
});

test('two runs are compared: curves over each other, differing settings, results', async ({ page, lab }) => {
  test.setTimeout(300_000);
  runs.second = lab.fineTune('second', { learning_rate: 1e-3 });
  await untilEnded(lab, runs.second);
  await page.goto();
  const run = await openRun(page, 'first');
  await run.getByRole('tab', { name: 'Compare' }).click();
  await run.getByRole('checkbox', { name: /→ second/ }).check();
  const table = run.getByRole('group', { name: 'Runs' });
  await expect(table.getByRole('row', { name: /^learning_rate/ })).toHaveText('learning_rate0.0030.001');
  await expect(table.getByRole('row', { name: /^Steps/ })).toHaveText('Steps29637');
  const loss = run.getByRole('slider', { name: /^Training loss:/ });
  await expect(loss).toHaveAttribute('aria-valuetext', /first \d.*second \d/);
  await run.getByRole('button', { name: 'Zoom in' }).click();
  await expect(loss).toHaveAttribute('aria-valuemin', '74');
  await run.getByRole('button', { name: 'All steps' }).click();
  await expect(loss).toHaveAttribute('aria-valuemin', '1');
  await run.getByRole('tab', { name: 'Config' }).click();
  const config = run.getByRole('group', { name: 'Config' });
  await expect(config.getByRole('row', { name: /^learning_rate/ })).toHaveText('learning_rate0.0030.0002');
  await run.getByRole('combobox', { name: 'Compare with' }).selectOption({ index: 1 });
  await expect(config.getByRole('row', { name: /^learning_rate/ })).toHaveText('learning_rate0.0030.001');
});

test('a result is merged and exported by buttons that show their plan first', async ({ page, lab }) => {
  test.setTimeout(400_000);
  await page.goto();
  const run = await openRun(page, 'first');
  await run.getByRole('button', { name: /^Merge…/ }).click();
  const merge = run.getByRole('form', { name: 'Merge the adapter into its base model' });
  await expect(merge).toContainText(join(lab.folder, 'runs/first-merged'));
  await expect(merge).toContainText('about 2.2 MB');
  await merge.getByRole('textbox', { name: 'Folder' }).fill('runs/relative');
  await expect(merge.getByRole('alert')).toContainText('output_dir must be a whole path.');
  await expect(merge.getByRole('button', { name: 'Merge', exact: true })).toBeDisabled();
  await merge.getByRole('textbox', { name: 'Folder' }).fill('');
  await merge.getByRole('button', { name: 'Merge', exact: true }).click();
  const after = run.getByRole('list', { name: 'After the run' });
  await expect(after.getByRole('listitem').first()).toContainText('Succeeded', LONG);
  await expect(after).toContainText('first-merged');
  await run.getByRole('button', { name: /^Export…/ }).click();
  const form = run.getByRole('form', { name: 'Export the result' });
  await expect(form).toContainText('merged before; that model is taken');
  await form.getByRole('button', { name: 'Export', exact: true }).click();
  const line = after.getByText(/^vllm serve .*first-merged --served-model-name first/);
  await expect(line).toBeVisible(LONG);
  await after.getByRole('button', { name: 'Copy the line that serves it' }).click();
  await expect(after.getByText('Copied.')).toBeVisible();
});

test('nothing is published without a yes to what, where to and who sees it', async ({ page }) => {
  test.setTimeout(300_000);
  await page.goto();
  const run = await openRun(page, 'first');
  await run.getByRole('button', { name: /^Publish…/ }).click();
  const form = run.getByRole('form', { name: 'Publish the result' });
  const ask = form.getByRole('button', { name: 'Show what would be uploaded' });
  await form.getByRole('textbox', { name: 'Repo' }).fill('me/first');
  await form.getByRole('combobox', { name: 'Hub' }).selectOption('modelscope');
  await ask.click();
  // Without a token: a sentence with its cure.
  await expect(form.getByRole('alert')).toContainText('there is no token');
  await expect(form.getByRole('alert')).toContainText('MODELSCOPE_API_TOKEN');
  await form.getByRole('combobox', { name: 'Hub' }).selectOption('huggingface');
  await ask.click();
  await expect(form.getByRole('list', { name: 'Files to upload' })).toContainText(
    'adapter_model.safetensors'
  );
  await expect(form).toContainText('only those who see the private repos of its owner');
  await expect(form).toContainText('is not there, and would be made');
  await form.getByRole('button', { name: /^Upload…/ }).click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toContainText('go to me/first on Hugging Face.');
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(dialog).toBeHidden();
  await ask.or(form.getByRole('button', { name: /^Upload…/ })).click();
  await dialog.getByRole('button', { name: 'Yes, upload' }).click();
  const after = run.getByRole('list', { name: 'After the run' });
  const push = after.getByRole('listitem').filter({ hasText: 'Push first → me/first' });
  await expect(push).toContainText('Succeeded', LONG);
  await expect(push.getByRole('link', { name: /me\/first$/ })).toBeVisible();
  await expect(push).toHaveCount(1);
});

test('a log of 50,000 lines is its end, all of it on request, and searched; what is in it is text', async ({
  page,
  lab
}) => {
  const lines = Array.from(
    { length: 50_000 },
    (_, index) => `line ${index} of a long log, as a library prints it`
  );
  const hostile = '\u001b[31m<img src=x onerror="document.title=\'owned\'">\u001b[0m \u202egnp.exe';
  appendFileSync(join(lab.jobFolder(runs.second), 'log.txt'), [...lines, hostile, ''].join('\n'));
  await page.goto();
  const run = await openRun(page, 'second');
  await run.getByRole('tab', { name: 'Log' }).click();
  const log = run.getByRole('log');
  await expect(log).toContainText('<img src=x onerror="document.title=\'owned\'"> ‹U+202E›gnp.exe', LONG);
  await expect(log).not.toContainText('line 40 of');
  await run.getByRole('searchbox', { name: 'Search the log' }).fill('line 49999 OF');
  await expect(log).toHaveText(/^\d+: line 49999 of a long log, as a library prints it$/);
  await run.getByRole('searchbox').fill('');
  await run.getByRole('button', { name: 'Load the whole log' }).click();
  await expect(log).toContainText('line 40 of', LONG);
  // What is out of sight is not laid out: the page answers at once.
  await run.getByRole('searchbox').fill('line 4000 ');
  await expect(run.getByRole('status').first()).toContainText('1 of 50,0');
  await expect(page.locator('[onerror]')).toHaveCount(0);
  expect(await page.title()).not.toBe('owned');
});

test('a run that was killed says so, and one whose machine went away goes on where it was', async ({
  page,
  lab
}) => {
  test.setTimeout(400_000);
  runs.killed = lab.fineTune('killed', { epochs: 200 });
  await page.goto();
  const run = await openRun(page, 'killed');
  await expect(run.getByRole('slider', { name: /^Loss:/ })).toBeVisible(LONG);
  lab.kill(runs.killed, 'worker');
  await expect(run.getByRole('alert').first()).toContainText('killed', LONG);
  await run.getByRole('button', { name: /^Resume/ }).click();
  await expect.poll(() => lab.processesOf(runs.killed).worker, LONG).toBeGreaterThan(0);
  lab.kill(runs.killed, 'supervisor');
  lab.kill(runs.killed, 'worker');
  await expect(run).toContainText('The run was interrupted', LONG);
  await expect(run.getByRole('button').first()).toHaveAccessibleName(/^Resume/);
});

test('a run that is forgotten keeps what it made', async ({ page, lab }) => {
  await page.goto();
  const run = await openRun(page, 'second');
  await expect(run.getByRole('slider', { name: /^Loss:/ })).toBeVisible();
  await run
    .getByRole('button', { name: /^Forget/ })
    .first()
    .click();
  await expect(run).toContainText('This job has been forgotten');
  await expect(run).toContainText(join(lab.folder, 'runs/second'));
  await expect(run.getByRole('slider', { name: /^Loss:/ })).toBeVisible();
  await run.getByRole('tab', { name: 'Report and answers' }).click();
  await expect(run.getByRole('group', { name: 'Scores' })).toBeVisible();
});

const LANGUAGES = [
  { locale: 'default', theme: 'light', tabs: ['Curves', 'Report and answers', 'Config', 'Compare', 'Log'] },
  { locale: 'zh_CN', theme: 'dark', tabs: ['曲线', '报告与回答', '配置', '对比', '日志'] }
] as const;

for (const { locale, theme, tabs } of LANGUAGES) {
  test.describe(`in the ${theme} theme, language ${locale}`, () => {
    test.use({
      // High enough for all: axe cannot judge the contrast of what is scrolled out of sight.
      viewport: { width: 1280, height: 3600 },
      mockSettings: { '@jupyterlab/translation-extension:plugin': { locale } }
    });

    test('axe finds nothing wrong with any part of the view', async ({ page }) => {
      await page.goto();
      await (theme === 'dark' ? page.theme.setDarkTheme() : page.theme.setLightTheme());
      const run = await openRun(page, 'first');
      for (const name of tabs) {
        await run.getByRole('tab', { name }).click();
        await expect(run.getByRole('tabpanel', { name })).not.toBeEmpty();
        if (name === tabs[0]) {
          await expect(run.getByRole('slider').first()).toBeVisible();
        }
        expect(await violations(page, VIEW)).toEqual([]);
      }
      for (const form of ['merge', 'export', 'evaluate', 'push']) {
        await run.locator(`[data-form=${form}] button`).click();
        await expect(run.locator('form')).toBeVisible();
        expect(await violations(page, VIEW)).toEqual([]);
      }
    });
  });
}

test('a view 200 pixels wide, and at 200 %, has everything and scrolls in one direction only', async ({
  page
}) => {
  await page.goto();
  const run = await openRun(page, 'first');
  await page.evaluate(() => {
    const shell = document.querySelector<HTMLElement>('.jp-Qwen3ft-main');
    shell!.style.maxWidth = '200px';
    window.dispatchEvent(new Event('resize'));
  });
  for (const name of ['Curves', 'Report and answers', 'Config', 'Compare', 'Log']) {
    await run.getByRole('tab', { name }).click();
    const wide = await page
      .locator('.jp-Qwen3ft-main:visible')
      .evaluate(main => main.scrollWidth - main.clientWidth);
    expect(wide).toBeLessThanOrEqual(1);
  }
});
