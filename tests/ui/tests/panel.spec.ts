import { expect, openPanel, test } from './panel';
import { cached, job, plan, Standin } from './standin';

const HOSTILE = '<img src=x onerror="document.title=\'owned\'">';

test('a download shows its progress where it was asked for, and can be stopped there', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  const models = panel.getByRole('list', { name: 'Models' }).getByRole('listitem');
  const row = models.filter({ has: page.getByRole('progressbar') });
  await expect(row).toContainText('Downloading');
  await expect(row).toContainText('3.1 GB of 8.1 GB · 112 MB/s · 44 sec left');
  await expect(row.getByRole('progressbar')).toHaveJSProperty('value', 3.1 / 8.06);
  await row.getByRole('button', { name: 'Stop: Download Qwen/Qwen3-4B' }).click();
  await expect(panel.getByRole('button', { name: 'Resume the download of Qwen/Qwen3-4B' })).toBeVisible();
  await expect(panel.getByRole('status')).toHaveText('Download Qwen/Qwen3-4B: Stopped');
});

test('a failed job says why and what to do', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  const failed = panel
    .getByRole('list', { name: 'Jobs' })
    .getByRole('listitem')
    .filter({ hasText: 'Qwen3-8B' });
  await expect(failed).toMatchAriaSnapshot(`
    - listitem:
      - text: /Download Qwen.Qwen3-8B Failed/
      - alert:
        - strong: There is not enough room
        - paragraph: The cache needs 16.4 GB, 9.2 GB are free.
        - paragraph: Delete a model, or point MODEL_CACHE_DIR at a larger disk.
      - 'button "Try again: Download Qwen/Qwen3-8B"'
      - 'button "Log: Download Qwen/Qwen3-8B"'
      - 'button "Forget this entry; files are kept: Download Qwen/Qwen3-8B"'
  `);
});

test('a failed download is short in Models, can be dismissed, and without a hub the practice model comes first', async ({
  page
}) => {
  const standin = new Standin();
  standin.models.push({
    ...standin.models[1],
    model_name: 'qwen3ft/Qwen3-Practice',
    role: 'practice: no network needed',
    role_words: 'Practice: no network needed',
    catalogued: false
  });
  standin.jobs = [
    job('a', 'failed', {
      error: { code: 'hub-unreachable', message: 'hub.example refuses connections.', hint: 'Try again.' }
    })
  ];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const models = panel.getByRole('list', { name: 'Models' });
  await expect(models.getByRole('listitem').first()).toContainText('Practice: no network needed');
  await expect(models).not.toContainText('Not in the catalogue');
  const alert = models.getByRole('alert');
  await expect(alert).toContainText('The hub cannot be reached');
  await expect(alert).not.toContainText('refuses connections');
  await expect(alert.getByRole('button', { name: /^Download the practice model/ })).toBeVisible();
  await expect(panel.getByRole('list', { name: 'Jobs' })).toContainText('hub.example refuses connections.');
  await expect(panel.getByRole('button', { name: 'Try again to download Qwen/Qwen3-4B' })).toBeVisible();
  await alert.getByRole('button', { name: 'Dismiss' }).click();
  await expect(panel.getByText('Nothing has run yet.')).toBeVisible();
  await expect.poll(() => standin.requests.filter(each => each.startsWith('DELETE'))).toHaveLength(1);
});

test('what has ended is cleared at once', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: /^Clear finished/ }).click();
  await expect(panel.getByRole('list', { name: 'Jobs' }).getByRole('listitem')).toHaveCount(1);
  await expect(panel.getByRole('button', { name: /^Clear finished/ })).toHaveCount(0);
});

test('a log is read to its end', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Log: Fine-tune Qwen/Qwen3-0.6B' }).click();
  await expect(panel.getByRole('log')).toContainText('resolving Qwen/Qwen3-4B');
});

test('a hostile name is text, wherever it stands', async ({ page }) => {
  const standin = new Standin();
  standin.cached.push(cached('o/n', { slug: 'folder:o_n', owner: 'folder' }));
  for (const each of [...standin.models, ...standin.cached]) {
    Object.assign(each, { model_name: HOSTILE, path: HOSTILE, revision: HOSTILE, hub: HOSTILE });
  }
  const file = { path: HOSTILE, size: 1, action: 'adopted', source: HOSTILE, bytes_to_fetch: 0 };
  standin.plan = plan(HOSTILE, { files: [file], sources: [HOSTILE], to_evict: [HOSTILE], revision: HOSTILE });
  standin.jobs = [
    job('a', 'failed', {
      params: { model_name: HOSTILE },
      notices: [HOSTILE],
      result: { sources: [{ name: HOSTILE, bytes: 1 }], evicted: [HOSTILE], ok: false, wrong: [HOSTILE] },
      error: { code: 'bad-name', message: HOSTILE, hint: HOSTILE }
    })
  ];
  standin.warnings = [HOSTILE];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByText('onerror').first()).toBeVisible();
  await panel
    .getByRole('button', { name: /^Delete <img/ })
    .first()
    .click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toContainText('onerror');
  await expect(dialog.locator(':focus')).toHaveCount(1);
  await page.keyboard.press('Escape');
  await panel
    .getByRole('list', { name: 'Also on this disk' })
    .getByRole('button', { name: /^Delete/ })
    .click();
  await expect(dialog).toContainText('onerror');
  // JupyterLab gives a dialog the focus a moment after its content.
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused();
  await page.keyboard.press('Escape');
  await panel
    .getByRole('button', { name: /^Before/ })
    .first()
    .click();
  await expect(dialog.getByRole('row')).toHaveCount(2);
  await expect(page.locator('img[src="x"]')).toHaveCount(0);
  expect(await page.title()).not.toBe('owned');
});

test('without a server part the panel says how to get one', async ({ page }) => {
  await page.route(/\/qwen3ft\//, route => route.fulfill({ status: 404, body: '<html>404</html>' }));
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel).toContainText('The server part is missing');
  await expect(panel).toContainText('jupyter server extension enable qwen3ft_jupyter');
  await expect(panel.getByRole('list')).toHaveCount(0);
});

test('a server part of another version is pointed out, and still works', async ({ page }) => {
  const standin = new Standin();
  standin.version = '9.9.9';
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel).toContainText('the server has 9.9.9');
  await expect(panel.getByRole('list', { name: 'Models' })).toBeVisible();
});

test('every request goes below the base URL', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByRole('list', { name: 'Models' })).toBeVisible();
  expect(standin.requests.filter(each => !each.startsWith('GET /dsw-12345/qwen3ft/'))).toEqual([]);
});

test('a hidden panel asks nothing; the status bar asks only about what runs', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  await openPanel(page);
  await expect.poll(() => standin.requests.length).toBeGreaterThan(4);
  await page.sidebar.openTab('filebrowser');
  const quiet = async (asked: () => number) =>
    expect(async () => {
      const seen = asked();
      await page.waitForTimeout(3000); // three times the interval of a running job
      expect(asked()).toBe(seen);
    }).toPass();
  await quiet(() => standin.requests.filter(each => !/\/jobs(\/download-1)?$/.test(each)).length);
  standin.jobs = [];
  await quiet(() => standin.requests.length);
});

test('the filter finds models by name and role, and offers what it does not know', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const models = panel.getByRole('list', { name: 'Models' }).getByRole('listitem');
  await expect(models).toHaveCount(7);
  await panel.getByRole('searchbox', { name: 'Filter models' }).fill('production');
  await expect(models).toHaveCount(1);
  await panel.getByRole('searchbox', { name: 'Filter models' }).fill('someone/their-model');
  await expect(panel.getByRole('button', { name: 'Download someone/their-model' })).toBeVisible();
});

test('deleting asks first, and the keyboard can say no', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Delete Qwen/Qwen3-0.6B from the cache' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.locator('.jp-Dialog')).toContainText('This frees 1.5 GB.');
  await expect(page.locator('.jp-Dialog :focus')).toHaveCount(1);
  await page.keyboard.press('Escape');
  await expect(page.locator('.jp-Dialog')).toHaveCount(0);
  expect(standin.requests.filter(each => each.startsWith('DELETE'))).toEqual([]);
});

test('Load puts code into the notebook, and opens one where there is none', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel
    .getByRole('button', { name: /^Load Qwen\/Qwen3-0.6B/ })
    .first()
    .click();
  const cells = page.locator('.jp-NotebookPanel:visible .jp-CodeCell');
  await expect(cells.first()).toContainText('manager.load_model_and_tokenizer("Qwen/Qwen3-0.6B")');
  // The cell of a fine-tune is in the palette.
  await page.evaluate(() =>
    window.jupyterapp.commands
      .execute('qwen3ft:insert-fine-tune-cells', { modelName: 'Qwen/Qwen3-0.6B' })
      .then(() => undefined)
  );
  await expect(cells).toHaveCount(3);
  await expect(cells.nth(1)).toContainText('%load_ext qwen3ft_jupyter');
  await expect(cells.nth(2)).toContainText('model: "Qwen/Qwen3-0.6B"');
});

test('Fine-tune opens the form with the model filled in', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel
    .getByRole('button', { name: /^Fine-tune Qwen\/Qwen3-0.6B/ })
    .first()
    .click();
  await expect(page.getByRole('tab', { name: 'Fine-tune: Qwen3-0.6B' })).toBeVisible();
});
