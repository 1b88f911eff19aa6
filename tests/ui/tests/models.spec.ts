/** The details of a model, news of it, and models named by an address. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import type { Locator, Request } from '@playwright/test';

import { expect, openPanel, test, violations } from './panel';
import { plan, Standin } from './standin';

const CARD = `# Qwen3-0.6B

Thinks **on demand**. ![curve](http://stranger.invalid/curve.png)

<img src="http://stranger.invalid/track.png" onerror="document.title = 'taken'">
<script>document.title = 'taken';</script>
<div class="jp-Dialog" style="position: fixed; inset: 0">over everything</div>
<a href="javascript:document.title = 'taken'">press me</a> [log out](/dsw-12345/logout)
<form action="/dsw-12345/logout"><button>send</button></form>

\`\`\`python
print("hello")
\`\`\`

| benchmark | score |
| --- | --- |
| one | 52.8 |
`;

/** That a hub has a newer commit of a cached model. */
const NEWS = {
  model_name: 'Qwen/Qwen3-0.6B',
  slug: 'Qwen_Qwen3-0.6B',
  hub: 'modelscope',
  revision: 'master',
  commit: 'c0ffee',
  latest: '0badf00d0badf00d',
  has_update: true,
  checked: Date.now() / 1000 - 3600,
  problem: ''
};

/** What the pictures of a card are asked for, and nothing else. */
async function strangers(page: IJupyterLabPageFixture): Promise<string[]> {
  const asked: string[] = [];
  await page.route(/stranger\.invalid/, route => {
    asked.push(new URL(route.request().url()).pathname);
    return route.fulfill({
      status: 200,
      contentType: 'image/svg+xml',
      body: '<svg xmlns="http://www.w3.org/2000/svg"/>'
    });
  });
  return asked;
}

function row(panel: Locator, name: string): Locator {
  return panel.getByRole('list', { name: 'Models', exact: true }).locator('> li').filter({ hasText: name });
}

/** How many sections a request keeps the sizes of: none before a border was moved, nor one that keeps something else. */
function keptSizes(request: Request): number {
  const isKeeping = request.method() === 'PUT' && request.url().includes('/api/workspaces/');
  return isKeeping ? (request.postDataJSON().data['qwen3ft-jupyter:sections']?.sizes.length ?? 0) : 0;
}

test('the details of a model have files, digests, rates and the card, and a hostile card has no power', async ({
  page
}) => {
  const standin = new Standin();
  standin.cards['Qwen/Qwen3-0.6B'] = { text: CARD, license: 'apache-2.0' };
  standin.rates.push({ name: 'ModelScope', bytes: 7e9, seconds: 70, rate: 1e8, ended: Date.now() / 1000 });
  await standin.install(page);
  const asked = await strangers(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Details of Qwen/Qwen3-0.6B', exact: true }).click();
  const files = panel.getByRole('region', { name: 'Files of Qwen/Qwen3-0.6B' });
  await expect(files.getByRole('row')).toHaveCount(4);
  const digest = files.getByRole('button', { name: '111111111111: copy the sha256 of config.json' });
  await expect(digest).toHaveAttribute('title', new RegExp(`sha256 1{64}`));
  await digest.press('Enter');
  await expect(digest).toContainText('copied');
  await expect(panel.getByText(/^100 MB\/s · 7.* GB in 1 min/)).toBeVisible();
  await expect(panel.getByText('not measured yet')).toHaveCount(1);

  await panel.getByRole('button', { name: 'Model card of Qwen/Qwen3-0.6B' }).press('Enter');
  const card = panel.getByRole('region', { name: 'Model card of Qwen/Qwen3-0.6B' });
  await expect(card.getByRole('heading', { name: 'Qwen3-0.6B' })).toBeVisible();
  await expect(card.getByRole('cell', { name: '52.8' })).toBeVisible();
  await expect(
    card.locator('script, form, button, .jp-Dialog, [style], a[href^="/"], a[href^="javascript"]')
  ).toHaveCount(0);
  await expect(card.getByText('curve')).toBeVisible();
  await expect(page).not.toHaveTitle('taken');
  expect(asked).toEqual([]);
  await panel.getByRole('button', { name: /^Load pictures/ }).click();
  await expect.poll(() => [...asked].sort()).toEqual(['/curve.png', '/track.png']);
  await expect(page).not.toHaveTitle('taken');
});

test('of a model that is not cached a hub is asked when somebody wants to know', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Details of Qwen/Qwen3-1.7B', exact: true }).click();
  const entry = row(panel, 'Qwen3-1.7B');
  const list = entry.getByRole('button', { name: /^List the files/ });
  await list.click();
  await expect(entry.getByRole('region', { name: 'Files of Qwen/Qwen3-1.7B' })).toContainText('222222222222');
  await entry.getByRole('button', { name: /^Model card/ }).click();
  await expect(entry.getByText('This model has no card.')).toBeVisible();
});

test('a hub that does not answer can be waited for no longer, and a failure says what to do', async ({
  page
}) => {
  const standin = new Standin();
  await standin.install(page);
  const answers: Array<() => void> = [];
  await page.route(/qwen3ft\/models\/card/, async route => {
    await new Promise<void>(resolve => answers.push(resolve));
    await route
      .fulfill({
        status: 502,
        json: { code: 'hub-unreachable', message: 'No hub is asked.', hint: 'Allow the network.' }
      })
      .catch(() => undefined); // nobody waits any more
  });
  await page.goto();
  const panel = await openPanel(page);
  await panel.getByRole('button', { name: 'Details of Qwen/Qwen3-1.7B', exact: true }).click();
  const entry = row(panel, 'Qwen3-1.7B');
  await entry.getByRole('button', { name: 'Model card of Qwen/Qwen3-1.7B' }).click();
  await expect(entry.getByRole('progressbar', { name: 'Model card of Qwen/Qwen3-1.7B' })).toBeVisible();
  await expect.poll(() => answers.length).toBe(1);
  await entry.getByRole('button', { name: 'Stop: Model card of Qwen/Qwen3-1.7B' }).click();
  await expect(entry.getByRole('progressbar')).toHaveCount(0);
  answers[0]();
  await entry.getByRole('button', { name: /^Try again/ }).click();
  await expect(entry.getByRole('progressbar')).toBeVisible();
  await expect.poll(() => answers.length).toBe(2);
  answers[1]();
  await expect(entry.getByRole('alert').filter({ hasText: 'Allow the network.' })).toBeVisible();
});

test('updates are looked for when somebody asks, and an update shows first what it would change', async ({
  page
}) => {
  const standin = new Standin();
  standin.news = [NEWS];
  standin.plan = plan('Qwen/Qwen3-0.6B', { is_update: true });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const badge = row(panel, 'Qwen3-0.6B').getByRole('button', { name: /^Update available: Qwen\/Qwen3-0.6B/ });
  await expect(row(panel, 'Qwen3-0.6B').first()).toBeVisible();
  await expect(badge).toHaveCount(0);
  expect(standin.asked).toEqual([]);
  await panel.getByRole('button', { name: 'Check for updates' }).press('Enter');
  await expect(panel.getByText('Checked for updates 1 hour ago: 1 model has an update')).toBeVisible();
  expect(standin.asked).toEqual(['POST models/updates']);
  await badge.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Update Qwen/Qwen3-0.6B' });
  await expect(dialog).toContainText('model-00002-of-00002.safetensors');
  await dialog.getByRole('button', { name: 'Update' }).click();
  await expect
    .poll(() => standin.asked.at(-1))
    .toBe('POST models/download {"model_name":"Qwen/Qwen3-0.6B","update":true}');
  standin.cached[0].commit = '0badf00d0badf00d';
  await panel.getByRole('button', { name: 'Refresh' }).click();
  await expect(panel.getByText('Checked for updates 1 hour ago: nothing new')).toBeVisible();
  await expect(badge).toHaveCount(0);
});

test('an address is understood in the filter and in the field, and what is no model is refused with a cure', async ({
  page
}) => {
  const standin = new Standin();
  standin.plan = plan('org/model');
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const filter = panel.getByRole('searchbox', { name: 'Filter models' });
  const names = panel.getByRole('list', { name: 'Models', exact: true }).locator('> li');
  await filter.fill('https://www.modelscope.cn/models/Qwen/Qwen3-8B/files');
  await expect(names).toHaveCount(1);
  await expect(names).toContainText('Qwen3-8B');
  await filter.fill('hf.co/Qwen/Qwen3-8B/blob/v1/config.json');
  await panel.getByRole('button', { name: 'Download Qwen/Qwen3-8B@v1' }).click();
  await expect
    .poll(() => standin.asked)
    .toEqual(['POST models/download {"model_name":"Qwen/Qwen3-8B","revision":"v1"}']);
  await filter.fill('https://huggingface.co/datasets/org/talks');
  await expect(panel.getByRole('alert').filter({ hasText: 'a dataset, not of a model' })).toContainText(
    'Give the name of a model'
  );
  await filter.fill('');

  const field = panel.getByRole('textbox', { name: 'Another model of the hub' });
  await field.fill('https://example.org/org/model');
  await field.press('Enter');
  await expect(panel.getByRole('alert').filter({ hasText: 'not of a hub that is known here' })).toContainText(
    '"org/model"'
  );
  expect(standin.asked).toHaveLength(1);
  await field.fill('ms:org/model');
  await field.press('Enter');
  await expect(panel.getByRole('alert').filter({ hasText: 'is the name of a data set' })).toContainText(
    '"org/model"'
  );
  await field.fill('org/model@v2');
  await field.press('Enter');
  await expect
    .poll(() => standin.asked.at(-1))
    .toBe('POST models/download {"model_name":"org/model","revision":"v2"}');
  await expect(field).toHaveValue('');
});

test('sections come back as they were left, without a jump', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  const title = (name: string) => panel.locator('.jp-AccordionPanel-title').filter({ hasText: name });
  await title('Jobs').focus();
  await page.keyboard.press('Enter');
  await expect(title('Jobs')).toHaveAttribute('aria-expanded', 'false');
  const handle = panel.locator('.lm-SplitPanel-handle:not(.lm-mod-hidden)').first();
  const box = await handle.boundingBox();
  if (box === null) {
    throw new Error('no border to be moved');
  }
  await page.mouse.move(box.x + 40, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + 40, box.y - 150, { steps: 5 });
  const saved = page.waitForResponse(response => keptSizes(response.request()) > 0);
  await page.mouse.up();
  await saved;
  const left = await title('Cache').boundingBox();
  // As it is first drawn: what was left is there, not put there later.
  await page.addInitScript(() => {
    const seen: string[] = [];
    Object.assign(window, { seenJobs: seen });
    new MutationObserver(() => {
      const titles = [...document.querySelectorAll('#qwen3ft-panel .jp-AccordionPanel-title')];
      const jobs = titles.find(each => each.textContent?.includes('Jobs'));
      if (jobs !== undefined) {
        seen.push(String(jobs.getAttribute('aria-expanded')));
      }
    }).observe(document, { subtree: true, childList: true });
  });
  await page.reload();
  await openPanel(page);
  await expect(title('Jobs')).toHaveAttribute('aria-expanded', 'false');
  await expect
    .poll(async () => Math.abs(((await title('Cache').boundingBox())?.y ?? 0) - (left?.y ?? 0)))
    .toBeLessThan(4);
  expect(new Set(await page.evaluate(() => Object(window).seenJobs))).toEqual(new Set(['false']));
});

const LOOKS = [
  {
    locale: 'en',
    isDark: false,
    details: 'Details of Qwen/Qwen3-0.6B',
    card: 'Model card of Qwen/Qwen3-0.6B'
  },
  { locale: 'zh_CN', isDark: true, details: '详情：Qwen/Qwen3-0.6B', card: '模型卡片：Qwen/Qwen3-0.6B' }
];

for (const { locale, isDark, details, card } of LOOKS) {
  test.describe(`in ${locale}`, () => {
    test.use({
      // High enough for every row: axe cannot judge the contrast of what is scrolled out of sight.
      viewport: { width: 1024, height: 3200 },
      mockSettings: { '@jupyterlab/translation-extension:plugin': { locale } }
    });

    test(`axe finds nothing wrong with the details in the ${isDark ? 'dark' : 'light'} theme`, async ({
      page
    }) => {
      const standin = new Standin();
      standin.cards['Qwen/Qwen3-0.6B'] = { text: CARD, license: 'apache-2.0' };
      standin.remembered = [
        NEWS,
        { ...NEWS, model_name: 'org/gone', slug: 'org_gone', problem: 'It is gone.' }
      ];
      await standin.install(page);
      await page.goto();
      await (isDark ? page.theme.setDarkTheme() : page.theme.setLightTheme());
      const panel = await openPanel(page);
      await panel.getByRole('button', { name: details, exact: true }).press('Enter');
      await panel.getByRole('button', { name: card, exact: true }).press('Enter');
      await expect(panel.getByRole('region', { name: card }).getByRole('heading')).toBeVisible();
      expect(await violations(page)).toEqual([]);
    });
  });
}
