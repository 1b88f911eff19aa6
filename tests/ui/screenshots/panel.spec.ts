/** The pictures of the README, from a live JupyterLab: `make screenshot`. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { expect, openPanel, test } from '../tests/panel';

const IMAGES = join(__dirname, '../../../docs/images');
const PRACTICE = 'qwen3ft/Qwen3-Practice';

mkdirSync(IMAGES, { recursive: true });

const LANGUAGES = [
  {
    locale: 'en',
    file: 'panel.png',
    cache: 'Cache',
    load: `Load ${PRACTICE}`,
    tune: `Fine-tune ${PRACTICE}`
  },
  {
    locale: 'zh_CN',
    file: 'panel.zh-CN.png',
    cache: '缓存',
    load: `加载 ${PRACTICE}`,
    tune: `微调 ${PRACTICE}`
  }
];

for (const { locale, file, cache, load, tune } of LANGUAGES) {
  test.describe(locale, () => {
    test.use({
      viewport: { width: 1200, height: 860 },
      mockSettings: {
        '@jupyterlab/apputils-extension:notification': { fetchNews: 'false' },
        '@jupyterlab/translation-extension:plugin': { locale }
      }
    });

    test(file, async ({ page, baseURL }) => {
      test.setTimeout(240_000);
      await page.request.post(`${baseURL}/qwen3ft/models/download`, { data: { model_name: PRACTICE } });
      await page.goto();
      const panel = await openPanel(page);
      const cached = panel.getByRole('list', { name: cache }).getByRole('listitem');
      await expect(cached).toHaveCount(1, { timeout: 180_000 });
      await cached.getByRole('button', { name: load }).click();
      await cached.getByRole('button', { name: tune }).click();
      await expect(page.locator('.jp-NotebookPanel:visible .jp-CodeCell')).toHaveCount(3);
      await page.mouse.move(900, 700);
      await page.screenshot({ path: join(IMAGES, file) });
    });
  });
}
