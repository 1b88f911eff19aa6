/** The form of a fine-tune: from a file in the file browser to a run, against a real server and the practice model. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { APIRequestContext, Locator } from '@playwright/test';

import { expect, test, violations } from './panel';

const PRACTICE = 'qwen3ft/Qwen3-Practice';
const FORM = '.jp-Qwen3ft-form';
/** Libraries are imported and data is read for these, on a machine that may do other things. */
const SLOW = { timeout: 80_000 };

const ROWS: ReadonlyArray<object> = [
  ...Array.from({ length: 30 }, (_, index) => ({ question: `What is ${index}?`, answer: `It is ${index}.` })),
  { question: 'What is 1?', answer: 'It is 1.' },
  { question: 'Empty?', answer: '' },
  { question: 'Think?', answer: '<think>\nI do.\n</think>\n\nYes.' }
];
const HOSTILE = {
  question: 'a\u001b[31mred',
  answer: '\u202etxt.exe <img src=x onerror="window.hacked = true">'
};

test.describe.configure({ timeout: 240_000 });

async function put(
  request: APIRequestContext,
  baseURL: string,
  path: string,
  content: string
): Promise<void> {
  const folder = path.split('/').slice(0, -1).join('/');
  if (folder !== '') {
    await request.put(`${baseURL}/api/contents/${folder}`, { data: { type: 'directory' } });
  }
  const saved = await request.put(`${baseURL}/api/contents/${path}`, {
    data: { type: 'file', format: 'text', content }
  });
  expect(saved.ok()).toBe(true);
}

async function putRows(request: APIRequestContext, baseURL: string, rows = ROWS): Promise<void> {
  await put(request, baseURL, 'data/train.jsonl', rows.map(row => JSON.stringify(row)).join('\n'));
}

/** The practice model comes with the package: no network is needed. */
async function downloadPractice(request: APIRequestContext, baseURL: string): Promise<void> {
  await request.post(`${baseURL}/qwen3ft/models/download`, { data: { model_name: PRACTICE } });
  await expect
    .poll(async () => {
      const { models } = await (await request.get(`${baseURL}/qwen3ft/models/cache/list`)).json();
      return models.some((each: { model_name: string }) => each.model_name === PRACTICE);
    }, SLOW)
    .toBe(true);
}

async function openForm(page: IJupyterLabPageFixture, args: Record<string, unknown>): Promise<Locator> {
  await page.evaluate(
    given => window.jupyterapp.commands.execute('qwen3ft:open-finetune', given).then(() => undefined),
    args as never
  );
  return page.locator(`${FORM}:visible`);
}

/** What JupyterLab has written down for the next page. */
async function workspace(page: IJupyterLabPageFixture): Promise<string> {
  return page.evaluate(async () =>
    JSON.stringify(await window.jupyterapp.serviceManager.workspaces.fetch('default'))
  );
}

async function rightClick(page: IJupyterLabPageFixture, path: string, item: string): Promise<void> {
  await page.filebrowser.openDirectory(path.split('/').slice(0, -1).join('/'));
  await page.filebrowser.refresh();
  const name = path.split('/').at(-1) ?? '';
  await page.locator('.jp-DirListing-item', { hasText: name }).first().click({ button: 'right' });
  await page.getByRole('menuitem', { name: item }).click();
}

test('from a file to a run: seen, corrected, put into a notebook, started', async ({ page, baseURL }) => {
  const url = String(baseURL);
  await putRows(page.request, url);
  await downloadPractice(page.request, url);
  await page.goto();
  await rightClick(page, 'data/train.jsonl', 'Fine-tune Qwen3 on This');
  const form = page.locator(`${FORM}:visible`);
  await expect(form.getByRole('list', { name: 'Chosen data' })).toContainText('data/train.jsonl');
  await form.getByRole('combobox', { name: 'Model' }).fill(PRACTICE);

  // What the model will see.
  const seen = form.getByRole('region', { name: 'What the model will see' });
  await expect(seen).toContainText('32 of 33 are learned from', SLOW);
  await expect(seen.getByRole('img')).toHaveAttribute('aria-label', /^Lengths from \d+ to \d+ tokens/);
  await expect(seen).toContainText('Duplicates1');
  await seen.getByText('1 row is left out').click();
  await expect(seen.getByRole('list', { name: 'Rows left out, and why' })).toContainText(
    'train.jsonl row 32: its answer is empty'
  );
  await expect(seen.locator('mark').first()).toContainText(/It is \d+\.<\|im_end\|>/);
  await expect(form.getByRole('region', { name: 'Will it fit?' })).toContainText('It fits: about', SLOW);

  // Every wrong field at once, each beside its field.
  await form.getByText('Advanced', { exact: true }).click();
  await form.getByText('Learning', { exact: true }).click();
  await form.getByLabel('Epochs', { exact: true }).fill('many');
  await form.getByLabel('Learning rate', { exact: true }).fill('7');
  await expect(form.locator('[data-field="epochs"]')).toContainText("'many' is not a number above 0");
  await expect(form.locator('[data-field="learning_rate"]')).toContainText('7 is not a number above 0');
  await expect(form.getByRole('status')).toHaveText('2 fields are wrong.');
  await form.getByRole('button', { name: 'Start the fine-tune' }).click();
  await expect(form.getByLabel('Epochs', { exact: true })).toBeFocused();
  await form.getByLabel('Epochs', { exact: true }).fill('300');
  await form.getByLabel('Learning rate', { exact: true }).fill('3e-3');
  await expect(form.getByRole('status')).toHaveText('It fits.', SLOW);

  // As a cell, with paths from where the notebook lies.
  await form.getByRole('button', { name: /^Insert cell/ }).click();
  const notebook = page.locator('.jp-NotebookPanel:visible');
  await expect(notebook.locator('.jp-CodeCell').nth(1)).toContainText('%%qwen3ft finetune');
  await expect(notebook.locator('.jp-CodeCell').nth(1)).toContainText('data:');
  await expect(notebook.locator('.jp-CodeCell').nth(1)).toContainText(/- (data\/)?train\.jsonl/);
  await expect(notebook.locator('.jp-CodeCell').nth(1)).toContainText('learning_rate: 0.003');

  // Started, and still there after a reload.
  await page.activity.activateTab('Fine-tune: train.jsonl');
  await form.getByRole('button', { name: 'Start the fine-tune' }).click();
  const run = form.getByRole('region', { name: 'The run that was started here' });
  await expect(run).toContainText(`Fine-tune ${PRACTICE}`, SLOW);
  await expect(form.getByRole('button', { name: 'Start the fine-tune' })).toBeDisabled();
  await expect.poll(() => workspace(page), SLOW).toMatch(/"jobId":"\w+-/);
  await page.reload({ waitForIsReady: false });
  await page.activity.activateTab('Fine-tune: train.jsonl');
  await expect(run).toContainText(`Fine-tune ${PRACTICE}`, SLOW);
  await expect(form.getByRole('combobox', { name: 'Model' })).toHaveValue(PRACTICE);
  await run.getByRole('button', { name: /^Stop/ }).first().click();
  await expect(run).toContainText('Stopped', SLOW);
  await expect(form.getByRole('button', { name: 'Start the fine-tune' })).toBeEnabled();
});

test('strange text is shown as text', async ({ page, baseURL }) => {
  const url = String(baseURL);
  await putRows(page.request, url, [HOSTILE]);
  await downloadPractice(page.request, url);
  await page.goto();
  const form = await openForm(page, { modelName: PRACTICE, data: 'data/train.jsonl' });
  const sample = form.getByRole('region', { name: 'Text of sample 1' });
  await expect(sample).toContainText('⟨ESC⟩[31mred', SLOW);
  await expect(sample).toContainText('⟨RLO⟩txt.exe <img src=x onerror="window.hacked = true">');
  expect(await page.evaluate(() => 'hacked' in window)).toBe(false);
});

const PLAN = {
  model: 'Qwen/Qwen3-8B',
  objective: 'sft',
  method: 'full',
  output_dir: '/runs/x',
  is_cached: false,
  download_bytes: 16e9,
  data: { rows: 33, conversations: 32, held_out: 0, empty: 1, bad: 0, notices: [] },
  tokens: { basis: 'estimated', samples: 32, tokens: 900, trained_tokens: 300, longest: 40 },
  steps: { total: 8, an_epoch: 4, warmup: 0, checkpoints: null, tokens: 1800, padding: 0 },
  memory: {
    ...{
      weights: 48e9,
      adapter: 0,
      gradients: 16e9,
      optimizer: 32e9,
      activations: 1e9,
      logits: 1e9,
      margin: 1e9
    },
    ...{ total: 99e9, device: 'cuda', device_name: 'NVIDIA L20', free: 47e9, fits: 'no', basis: 'formula' },
    changes: [
      { fields: { method: 'lora' }, total_bytes: 20e9, shortened: 0 },
      { fields: { method: 'lora', quantization: '4bit' }, total_bytes: 9e9, shortened: 0 }
    ]
  },
  disk: { checkpoint: 1, result: 1, needed: 17e9, certain: 1, free: 500e9 },
  tokens_per_s: 450,
  seconds: 4,
  notices: [],
  fits: 'no',
  has_room: true
};

test('what does not fit is told with the cheapest way out, which one button takes', async ({
  page,
  baseURL
}) => {
  await putRows(page.request, String(baseURL));
  const asked: string[] = [];
  await page.route('**/qwen3ft/finetune/plan*', route => {
    const body = String(route.request().postData());
    asked.push(body);
    const isFull = JSON.parse(body).config.method === 'full';
    return route.fulfill({ json: isFull ? PLAN : { ...PLAN, fits: 'yes' } });
  });
  await page.goto();
  const form = await openForm(page, { modelName: 'Qwen/Qwen3-8B', data: 'data/train.jsonl' });
  const fit = form.getByRole('region', { name: 'Will it fit?' });
  await form.getByRole('radio', { name: 'Full' }).check();
  await expect(fit).toContainText(
    'It does not fit: about 99.0 GB are needed, 47.0 GB are free on NVIDIA L20.'
  );
  await expect(fit).toContainText('about 4 sec, by an earlier run like it here');
  await fit.getByRole('button', { name: 'Apply method: lora', exact: true }).click();
  await expect(form.getByRole('radio', { name: 'LoRA', exact: true })).toBeChecked();
  await expect(fit).toContainText('It fits');
  expect(JSON.parse(asked.at(-1) ?? '')).toMatchObject({ rough: true, config: { method: 'lora' } });
  expect(JSON.parse(asked.at(-1) ?? '').config.quantization).toBeUndefined();
});

test('a data set that is not here is fetched when somebody says so', async ({ page }) => {
  const asked: string[] = [];
  await page.route('**/qwen3ft/models/download*', route => {
    asked.push(String(route.request().postData()));
    return route.fulfill({ status: 202, json: { id: 'd', kind: 'download', state: 'running' } });
  });
  await page.goto();
  const form = await openForm(page, { modelName: PRACTICE, data: 'org/talks#500' });
  const absent = form.getByRole('list', { name: 'Data that is not on this disk yet' });
  await expect(absent).toContainText('Not on this disk yet: ms:org/talks', SLOW);
  expect(asked).toEqual([]);
  await absent.getByRole('button', { name: /^Download/ }).click();
  await expect.poll(() => asked.map(each => JSON.parse(each).model_name)).toEqual(['ms:org/talks']);
  expect(await violations(page, FORM)).toEqual([]);
});

test('a config goes to a file and comes back as a form', async ({ page, baseURL }) => {
  const url = String(baseURL);
  await putRows(page.request, url);
  await page.request.delete(`${url}/api/contents/data/mine.yaml`);
  await page.goto();
  const form = await openForm(page, { modelName: PRACTICE, data: 'data/train.jsonl' });
  await form.getByRole('button', { name: 'Save as YAML…' }).click();
  const dialog = page.locator('.jp-Dialog');
  await dialog.getByRole('textbox').fill('data/mine.yaml');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('tab', { name: 'Fine-tune: mine.yaml' })).toBeVisible();
  const saved = await (await page.request.get(`${url}/api/contents/data/mine.yaml`)).json();
  expect(saved.content).toContain('- train.jsonl'); // from where the file lies
  await put(page.request, url, 'data/mine.yaml', `${saved.content}bogus: 1\n`);
  await rightClick(page, 'data/mine.yaml', 'Open as a Fine-tune of Qwen3');
  const again = page.locator(`${FORM}:visible`);
  await expect(again.getByRole('list', { name: 'Chosen data' })).toContainText('data/train.jsonl');
  await expect(again.getByRole('combobox', { name: 'Model' })).toHaveValue(PRACTICE);
  // What the form has no place for is told, and does not vanish.
  await expect(again.locator('[data-field="bogus"]')).toContainText('unknown field');
  await again.getByRole('button', { name: 'Remove bogus' }).click();
  await expect(again.locator('[data-field="bogus"]')).toHaveCount(0);
});

test('a server that is old or gone loses nothing, and it is said what to do', async ({ page, baseURL }) => {
  await putRows(page.request, String(baseURL));
  let server: 'old' | 'gone' | 'right' = 'old';
  await page.route('**/qwen3ft/finetune/check*', route => {
    if (server === 'right') {
      return route.continue();
    }
    return server === 'old' ? route.fulfill({ status: 404, body: '<html>' }) : route.abort();
  });
  await page.goto();
  const form = await openForm(page, { modelName: PRACTICE, data: 'data/train.jsonl' });
  await expect(form).toContainText('Restart JupyterLab; what is filled in here is kept.', SLOW);
  server = 'gone';
  await form.getByRole('combobox', { name: 'Model' }).fill('Qwen/Qwen3-0.6B');
  await expect(form).toContainText('The server does not answer', SLOW);
  server = 'right';
  await form.getByRole('button', { name: 'Try again' }).click();
  await expect(form).not.toContainText('The server does not answer', SLOW);
  await expect(form.getByRole('combobox', { name: 'Model' })).toHaveValue('Qwen/Qwen3-0.6B');
});

test('files are chosen in a dialog and dropped from the file browser', async ({ page, baseURL }) => {
  await putRows(page.request, String(baseURL));
  await page.goto();
  const form = await openForm(page, { modelName: PRACTICE });
  await page.filebrowser.openDirectory('data');
  await form.getByRole('button', { name: 'Choose files…' }).click();
  const dialog = page.locator('.jp-Dialog');
  await dialog.locator('.jp-DirListing-item', { hasText: 'train.jsonl' }).click();
  await dialog.getByRole('button', { name: 'Select' }).click();
  const chosen = form.getByRole('list', { name: 'Chosen data' });
  await expect(chosen).toContainText('data/train.jsonl');
  await form.getByRole('button', { name: 'Remove data/train.jsonl' }).click();
  await expect(chosen).toHaveCount(0);
  const file = page.locator('#filebrowser .jp-DirListing-item', { hasText: 'train.jsonl' });
  const [from, to] = [await file.boundingBox(), await form.locator('[data-field="data"]').boundingBox()];
  await page.mouse.move((from?.x ?? 0) + 20, (from?.y ?? 0) + 8);
  await page.mouse.down();
  await page.mouse.move((from?.x ?? 0) + 60, (from?.y ?? 0) + 20, { steps: 4 });
  await page.mouse.move((to?.x ?? 0) + 60, (to?.y ?? 0) + 20, { steps: 8 });
  await page.mouse.up();
  await expect(chosen).toContainText('data/train.jsonl');
});

test('nothing of it is loaded before it is opened, and the keyboard is enough', async ({ page, baseURL }) => {
  await putRows(page.request, String(baseURL));
  const loaded: string[] = [];
  page.on('request', request => loaded.push(request.url()));
  await page.goto();
  expect(loaded.filter(each => each.includes('finetune_view'))).toEqual([]);
  const form = page.locator(`${FORM}:visible`);
  // A page that has just come reads its shortcuts, and what takes the focus meanwhile closes the palette again.
  await expect(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Shift+C');
    await expect(page.locator('.lm-CommandPalette input')).toBeFocused({ timeout: 2000 });
    await page.keyboard.type('Fine-tune a Qwen3 Model');
    const active = page.locator('.lm-CommandPalette-item.lm-mod-active');
    await expect(active).toContainText('Fine-tune a Qwen3', { timeout: 2000 });
    await page.keyboard.press('Enter');
    await expect(form).toBeVisible({ timeout: 5000 });
  }).toPass();
  await form.getByRole('combobox', { name: 'Model' }).focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type(PRACTICE);
  const name = form.getByLabel('A data set on a hub, or a path');
  for (let step = 0; step < 4 && !(await name.evaluate(each => each === document.activeElement)); step++) {
    await page.keyboard.press('Tab');
  }
  await page.keyboard.type('data/train.jsonl');
  await page.keyboard.press('Enter');
  await expect(form.getByRole('list', { name: 'Chosen data' })).toContainText('data/train.jsonl');
  await form.getByRole('radio', { name: 'LoRA', exact: true }).focus();
  await page.keyboard.press('ArrowRight');
  await expect(form.getByRole('radio', { name: 'QLoRA' })).toBeChecked();
});

for (const [locale, theme] of [
  ['default', 'light'],
  ['zh_CN', 'dark'],
  ['default', 'contrast']
] as const) {
  test.describe(`${theme}, ${locale}`, () => {
    // High enough for all of it: axe cannot judge the contrast of what is scrolled out of sight.
    test.use({
      viewport: { width: 1280, height: 4200 },
      mockSettings: { '@jupyterlab/translation-extension:plugin': { locale } }
    });

    test('axe finds nothing wrong, whatever is open', async ({ page, baseURL }) => {
      const url = String(baseURL);
      await putRows(page.request, url);
      await downloadPractice(page.request, url);
      await page.goto();
      const themes = {
        light: 'JupyterLab Light',
        dark: 'JupyterLab Dark',
        contrast: 'JupyterLab Dark High Contrast'
      };
      await page.theme.setTheme(themes[theme]);
      const form = await openForm(page, { modelName: PRACTICE, data: 'data/train.jsonl' });
      await expect(form.locator('mark').first()).toBeVisible(SLOW);
      await expect(form.locator('.jp-Qwen3ft-verdict')).toBeVisible(SLOW);
      await form.locator('.jp-mod-level2 > summary').click();
      const folds = form.locator('.jp-Qwen3ft-column:first-child .jp-mod-level3 > summary');
      await expect(folds.first()).toBeVisible(); // drawn once the part above them is open
      for (const fold of await folds.all()) {
        await fold.click();
      }
      await form.locator('[data-field="epochs"] input').fill('many');
      await expect(form.locator('[data-field="epochs"] .jp-Qwen3ft-refusal')).toBeVisible();
      await expect(form.locator('.jp-mod-stale .jp-Qwen3ft-help').first()).toBeVisible();
      expect(await violations(page, FORM)).toEqual([]);
      if (locale === 'zh_CN') {
        await expect(form.getByRole('heading', { name: '放得下吗？' })).toBeVisible();
        await expect(form.locator('[data-field="epochs"] .jp-Qwen3ft-refusal')).toContainText('不是');
      }
    });
  });
}

test('narrow and enlarged it has nothing beside the page', async ({ page, baseURL }) => {
  await putRows(page.request, String(baseURL));
  await page.goto();
  const form = await openForm(page, { modelName: PRACTICE, data: 'data/train.jsonl' });
  await form.locator('.jp-mod-level2 > summary').click();
  await page.sidebar.close('left');
  for (const [width, height] of [
    [270, 900],
    [640, 450],
    [320, 225]
  ]) {
    await page.setViewportSize({ width, height });
    const wide = await form.evaluate(
      node =>
        [...node.querySelectorAll('*')].filter(
          each => each.getBoundingClientRect().right > node.getBoundingClientRect().right + 1
        ).length
    );
    expect(wide).toBe(0);
    await form.getByRole('button', { name: 'Start the fine-tune' }).scrollIntoViewIfNeeded();
    await expect(form.getByRole('button', { name: 'Start the fine-tune' })).toBeInViewport();
  }
});
