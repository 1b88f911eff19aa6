/** For eyes that need more: JupyterLab's theme of high contrast, a system's own few colours, and nothing that moves. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { Locator } from '@playwright/test';

import { test } from './lab';
import { expect, openPanel, violations } from './panel';
import { Standin } from './standin';

const PRACTICE = 'qwen3ft/Qwen3-Practice';
const RUN = '.jp-Qwen3ft-page';
const PLAYGROUND = '.jp-Qwen3ft-playground';
/** A fine-tune, a kernel that starts and a model that is loaded, on a machine that may do other things. */
const SLOW = { timeout: 180_000 };

test.describe.configure({ mode: 'serial', timeout: 400_000 });
// High enough for every row: axe cannot judge the contrast of what is scrolled out of sight.
test.use({ labOf: 'contrast', viewport: { width: 1280, height: 3200 } });

let job = '';

async function open(page: IJupyterLabPageFixture, command: string, args: object): Promise<void> {
  await page.waitForFunction(id => window.jupyterapp.commands.hasCommand(id), command);
  await page.evaluate(
    ([id, given]) => window.jupyterapp.commands.execute(id as string, given as never).then(() => undefined),
    [command, args] as const
  );
}

async function openRun(page: IJupyterLabPageFixture): Promise<Locator> {
  await open(page, 'qwen3ft:open-run', { job_id: job });
  const run = page.locator(`${RUN}:visible`);
  await expect(run.getByRole('slider', { name: /^Loss:/ })).toBeVisible(SLOW);
  return run;
}

async function openPlayground(page: IJupyterLabPageFixture): Promise<Locator> {
  await open(page, 'qwen3ft:open-playground', { model: PRACTICE });
  const view = page.locator(`${PLAYGROUND}:visible`);
  await view.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(view.getByText('Loaded:')).toBeVisible(SLOW);
  await view.getByRole('textbox', { name: 'Question' }).fill('Who are you?');
  await page.keyboard.press('Enter');
  await expect(view.getByRole('status')).toHaveText(/^Answer has ended/, SLOW);
  return view;
}

function colorOf(place: Locator, name: 'backgroundColor' | 'borderBottomColor' | 'stroke'): Promise<string> {
  return place.evaluate((node, each) => getComputedStyle(node)[each], name);
}

/** What moves by itself, or on its way from one look to another, in what is ours. */
async function moving(page: IJupyterLabPageFixture): Promise<string[]> {
  return page.evaluate(() =>
    document
      .getAnimations()
      .map(each => (each.effect instanceof KeyframeEffect ? each.effect.target : null))
      .flatMap(target => (target?.closest('[class*=jp-Qwen3ft]') ? [target.outerHTML] : []))
  );
}

test('axe finds nothing wrong with panel, run and playground in the theme of high contrast', async ({
  page,
  lab
}) => {
  job = lab.fineTune('seen', { epochs: 2 });
  await expect.poll(() => lab.stateOf(job), SLOW).toBe('succeeded');
  await page.goto();
  await page.theme.setTheme('JupyterLab Dark High Contrast');
  await openPanel(page);
  expect(await violations(page)).toEqual([]);
  await openRun(page);
  expect(await violations(page, RUN)).toEqual([]);
  await openPlayground(page);
  expect(await violations(page, PLAYGROUND)).toEqual([]);
});

test.describe('with the colours of the system and without motion', () => {
  test.beforeEach(async ({ page }) => {
    await page.emulateMedia({ forcedColors: 'active', colorScheme: 'dark', reducedMotion: 'reduce' });
  });

  test('the panel shows how far jobs are and how full the disk is', async ({ page }) => {
    const standin = new Standin();
    Object.assign(standin.jobs[0].progress as object, { total: null });
    await standin.install(page);
    await page.goto();
    const panel = await openPanel(page);
    const parts = panel.locator('.jp-Qwen3ft-bar .jp-Qwen3ft-series');
    const behind = await colorOf(panel, 'backgroundColor');
    await expect(parts.first()).toBeAttached();
    for (const part of await parts.all()) {
      expect(await colorOf(part, 'backgroundColor')).not.toBe(behind);
    }
    await expect(panel.getByRole('progressbar').first()).toHaveCSS('background-image', /gradient/);
    expect(await moving(page)).toEqual([]);
    expect(await violations(page)).toEqual([]);
  });

  test('the view of a run shows which part of it is open, and its curves', async ({ page }) => {
    await page.goto();
    const run = await openRun(page);
    const [chosen, other] = [true, false].map(selected => run.getByRole('tab', { selected }).first());
    expect(await colorOf(chosen, 'borderBottomColor')).not.toBe(await colorOf(other, 'borderBottomColor'));
    const color = await run
      .locator('.jp-Qwen3ft-plot')
      .first()
      .evaluate(node => getComputedStyle(node).getPropertyValue('--jp-ui-font-color1').trim());
    expect(color).toBe('CanvasText');
    expect(await moving(page)).toEqual([]);
    expect(await violations(page, RUN)).toEqual([]);
  });

  test('the playground tells questions from answers', async ({ page }) => {
    await page.goto();
    const view = await openPlayground(page);
    await expect(view.locator('.jp-Qwen3ft-question').first()).toHaveCSS('border-top-style', 'solid');
    expect(await moving(page)).toEqual([]);
    expect(await violations(page, PLAYGROUND)).toEqual([]);
  });
});
