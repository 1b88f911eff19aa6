/** The playground on the practice model, which a short fine-tune has changed. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { Locator } from '@playwright/test';

import { expect, putNotebook, test, violations } from './panel';

const MODEL = 'qwen3ft/Qwen3-Practice';
const VIEW = '.jp-Qwen3ft-playground';

/** A kernel starts, imports its libraries and loads a model, on a machine that may be busy. */
const SLOW = { timeout: 120_000 };

const CONFIG = {
  model: MODEL,
  data: '$train',
  output_dir: 'runs/pebble',
  overwrite: true,
  epochs: 6,
  learning_rate: '3e-3',
  batch_size: 8,
  gradient_accumulation: 1,
  max_length: 256
};

interface IFound {
  readonly params: { readonly config?: { readonly output_dir: string } };
}

/** Nearly all is left to chance, and so an answer is long: this one has thousands of tokens. */
const LONG = { Temperature: '5', 'Max tokens': '100000', Seed: '9' };

test.describe.configure({ timeout: 300_000 });

/** The fine-tune that the tests talk to, made by a notebook; the id of its job. */
async function tunedRun(page: IJupyterLabPageFixture, baseURL: string): Promise<string> {
  const sources = [
    '%load_ext qwen3ft_jupyter\nfrom qwen3ft_jupyter.practice import data_files\ntrain = str(data_files()[0])',
    ['%%qwen3ft finetune', ...Object.entries(CONFIG).map(([name, value]) => `${name}: ${value}`)].join('\n')
  ];
  await putNotebook(page.request, baseURL, 'pebble.ipynb', sources);
  await page.goto('tree/pebble.ipynb');
  await page.notebook.runCell(0);
  await page.notebook.selectCells(1);
  await page.keyboard.press('Control+Enter');
  const find = async () => {
    const { jobs } = await (await page.request.get(`${baseURL}/qwen3ft/jobs`)).json();
    return jobs.find((job: IFound) => job.params.config?.output_dir.endsWith(CONFIG.output_dir));
  };
  await expect.poll(async () => (await find())?.state, SLOW).toBe('succeeded');
  return (await find()).id;
}

/** Open a playground by its command, as the panel and the view of a run do. */
async function open(page: IJupyterLabPageFixture, args: Record<string, string>): Promise<Locator> {
  await page.waitForFunction(() => window.jupyterapp.commands.hasCommand('qwen3ft:open-playground'));
  await page.evaluate(async given => {
    await window.jupyterapp.commands.execute('qwen3ft:open-playground', given);
  }, args);
  const view = page.locator(VIEW);
  await view.waitFor();
  return view;
}

async function load(view: Locator, words = { load: 'Load', loaded: 'Loaded:' }): Promise<void> {
  await view.getByRole('button', { name: words.load, exact: true }).click();
  await expect(view.getByText(words.loaded)).toBeVisible(SLOW);
}

async function ask(view: Locator, question: string): Promise<void> {
  const box = view.locator('form textarea');
  await box.fill(question);
  await box.press('Enter');
}

async function fill(view: Locator, values: Record<string, string>): Promise<void> {
  for (const [label, value] of Object.entries(values)) {
    await view.getByLabel(label, { exact: true }).fill(value);
  }
}

/** The kernels that run on the server. */
async function kernels(page: IJupyterLabPageFixture, baseURL: string): Promise<string[]> {
  const answer = await page.request.get(`${baseURL}/api/kernels`);
  return (await answer.json()).map((kernel: { id: string }) => kernel.id);
}

test('a question is answered, the answer is stopped, and a reload changes nothing', async ({
  page,
  baseURL
}) => {
  const before = await kernels(page, baseURL!);
  await page.goto();
  const view = await open(page, { model: MODEL });
  await load(view);
  await ask(view, 'Who are you?');
  const answers = view.getByRole('region', { name: 'Answer', exact: true });
  await expect(answers.nth(0)).toContainText('I am a practice model', SLOW);
  await expect(answers.nth(0)).toContainText(/\d tokens · .* tokens\/s/);
  await expect(view.getByRole('status')).toHaveText(/^Answer has ended: \d+ tokens$/);

  // JupyterLab writes its layout down a while after it has changed.
  const kept = page.waitForRequest(
    request => request.url().includes('/workspaces/') && (request.postData() ?? '').includes('"seed":"9"'),
    SLOW
  );
  await fill(view, LONG);
  await ask(view, '<img src=x onerror="document.title=\'owned\'"> **and so on**');
  await expect(answers.nth(1)).toContainText(/\d{2,} tokens/, SLOW);
  await kept;
  await page.reload();
  await expect(view.getByRole('button', { name: 'Stop the answer' })).toBeVisible(SLOW);
  await expect(view.locator('.jp-Qwen3ft-question').nth(1)).toContainText('<img src=x');
  await expect(view.getByLabel('Temperature')).toHaveValue('5');
  await view.getByRole('button', { name: 'Stop the answer' }).click();
  await expect(answers.nth(1)).toContainText('Stopped', SLOW);
  await expect(answers.nth(1)).toContainText('seed 9');
  await expect(page.locator('[onerror]')).toHaveCount(0);

  await view.getByRole('button', { name: /^Regenerate/ }).click();
  await view.getByRole('button', { name: 'Stop the answer' }).click();
  await expect(view.getByRole('button', { name: 'Send' })).toBeVisible(SLOW);
  await view.getByRole('button', { name: 'Clear the conversation' }).click();
  await expect(answers).toHaveCount(0);

  // Its memory is free again when the tab is closed.
  expect(await kernels(page, baseURL!)).toHaveLength(before.length + 1);
  await page.locator('.lm-TabBar-tab', { hasText: 'Playground' }).locator('.lm-TabBar-tabCloseIcon').click();
  await expect.poll(() => kernels(page, baseURL!), SLOW).toEqual(before);
});

test('base and fine-tune answer side by side, and a cell asks the same', async ({ page, baseURL }) => {
  const run = await tunedRun(page, baseURL!);
  const view = await open(page, { model: MODEL, adapter: run });
  await load(view);
  await expect(page.locator('.lm-TabBar-tab', { hasText: 'Playground: pebble' })).toBeVisible();
  await ask(view, 'Who are you?');
  const base = view.getByRole('region', { name: 'Base model' });
  const tuned = view.getByRole('region', { name: 'Fine-tuned' });
  await expect(base).toContainText('I am a practice model', SLOW);
  await expect(tuned).toContainText('Pebble', SLOW);
  const [left, right] = [await base.boundingBox(), await tuned.boundingBox()];
  expect(right!.x).toBeGreaterThan(left!.x + left!.width - 1);

  for (const theme of ['light', 'dark'] as const) {
    await (theme === 'dark' ? page.theme.setDarkTheme() : page.theme.setLightTheme());
    expect(await violations(page, VIEW)).toEqual([]);
  }

  await expect(view.getByRole('button', { name: /^Insert cell/ })).toBeEnabled(SLOW);
  await view.getByRole('button', { name: /^Insert cell/ }).click();
  const cell = page.locator('.jp-Notebook .jp-CodeCell', { hasText: 'use_adapter' });
  await expect(cell).toContainText('use_adapter=False', SLOW);
  await expect(cell).toContainText("'content': 'Who are you?'");
});

test('a kernel that goes away is told, and another one goes on with the conversation', async ({
  page,
  baseURL
}) => {
  const before = await kernels(page, baseURL!);
  await page.goto();
  const view = await open(page, { model: MODEL });
  await load(view);
  await ask(view, 'Who are you?');
  await expect(view.getByRole('button', { name: /^Regenerate/ })).toBeEnabled(SLOW);
  const [own] = (await kernels(page, baseURL!)).filter(id => !before.includes(id));
  await page.request.delete(`${baseURL}/api/kernels/${own}`);
  await expect(view.getByText('The kernel is gone')).toBeVisible(SLOW);
  await expect(view.locator('.jp-Qwen3ft-question')).toHaveText(/Who are you/);
  await view.locator('.jp-Qwen3ft-alert').getByRole('button', { name: 'Load' }).click();
  await expect(view.getByText('Loaded:')).toBeVisible(SLOW);
  await ask(view, 'And you?');
  await expect(view.locator('.jp-Qwen3ft-reply')).toHaveCount(2, SLOW);
  await view.getByRole('button', { name: /^Shut down/ }).click();
  await expect.poll(() => kernels(page, baseURL!), SLOW).toEqual(before);
});

test('a load is given up, and a model that is not here is offered', async ({ page }) => {
  await page.goto();
  const view = await open(page, { model: 'Qwen/Qwen3-0.6B' });
  await view.getByRole('button', { name: 'Load', exact: true }).click();
  await view.getByRole('button', { name: 'Stop loading' }).click();
  await expect(view.getByRole('button', { name: 'Load', exact: true })).toBeEnabled(SLOW);
  await view.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(view.getByText('Qwen/Qwen3-0.6B is not on this disk')).toBeVisible(SLOW);
  await expect(view.getByRole('button', { name: /^Download…/ })).toBeEnabled();
  expect(await violations(page, VIEW)).toEqual([]);
});

test.describe('in Chinese', () => {
  test.use({ mockSettings: { '@jupyterlab/translation-extension:plugin': { locale: 'zh_CN' } } });

  test('the playground speaks it, and an input method sends nothing', async ({ page }) => {
    await page.goto();
    const view = await open(page, { model: MODEL });
    await load(view, { load: '加载', loaded: '已加载：' });
    const box = view.getByRole('textbox', { name: '问题' });
    await box.fill('你是谁');
    await box.dispatchEvent('keydown', { key: 'Enter', isComposing: true });
    await box.dispatchEvent('keydown', { key: 'Enter', keyCode: 229 });
    await box.press('Shift+Enter');
    await expect(box).toHaveValue('你是谁\n');
    await expect(view.locator('.jp-Qwen3ft-question')).toHaveCount(0);
    await box.press('Enter');
    await expect(view.getByRole('region', { name: '回答', exact: true })).toContainText(/个 token/, SLOW);
    expect(await violations(page, VIEW)).toEqual([]);
    await view.getByRole('button', { name: /^关闭内核/ }).click();
  });
});

test('at 200 pixels and at 200 % all can be reached', async ({ page }) => {
  await page.goto();
  const view = await open(page, {});
  await page.sidebar.close('left');
  for (const width of [640, 300]) {
    await page.setViewportSize({ width, height: 450 });
    await expect(view.getByRole('button', { name: 'Send' })).toBeAttached();
    const overflow = await view.evaluate(node => node.scrollWidth - node.clientWidth);
    expect(overflow).toBeLessThanOrEqual(1);
    for (const name of ['Load', 'Send', 'Settings']) {
      const button = view.getByRole('button', { name, exact: true });
      await button.scrollIntoViewIfNeeded();
      await expect(button).toBeInViewport();
    }
  }
});
