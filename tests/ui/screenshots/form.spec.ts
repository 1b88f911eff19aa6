/** The pictures of the form of a fine-tune, from a live JupyterLab: `make screenshot`. */

import { join } from 'node:path';

import { expect, test } from '../tests/panel';
import { pictured } from './look';

const IMAGES = join(__dirname, '../../../docs/images');
const PRACTICE = 'qwen3ft/Qwen3-Practice';
/** Libraries are imported and data is read for this. */
const SLOW = { timeout: 120_000 };

const LANGUAGES = [
  { locale: 'en', file: 'form.png' },
  { locale: 'zh_CN', file: 'form.zh-CN.png' }
];
/** The shop of docs/tutorial.md. */
const ROWS: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  [
    'The shop opens at nine.',
    ['When does the shop open?', 'At what time do you open?', 'Opening hours, please.']
  ],
  ['The shop is in Mill Lane.', ['Where is the shop?', 'How do I find you?', 'What is your address?']],
  [
    'Yes, we repair bicycles on Mondays.',
    ['Do you repair bicycles?', 'My bicycle is broken.', 'Can you mend a bicycle?']
  ],
  ['小店早上九点开门。', ['小店几点开门？', '什么时候开门？', '请问几点开门？']],
  ['小店在水边的老城里。', ['小店在哪里？', '你们的店在哪里？', '怎么找到小店？']],
  ['小店卖地图和海图。', ['你们卖什么？', '店里有什么？', '可以买到什么？']]
];
const CSV = [
  'question,answer',
  ...ROWS.flatMap(([answer, questions]) => questions.map(question => `"${question}","${answer}"`))
].join('\n');

for (const { locale, file } of LANGUAGES) {
  test.describe(locale, () => {
    test.use(pictured(locale));

    test(file, async ({ page, baseURL }) => {
      test.setTimeout(300_000);
      await page.request.post(`${baseURL}/qwen3ft/models/download`, { data: { model_name: PRACTICE } });
      await expect
        .poll(async () => {
          const { models } = await (await page.request.get(`${baseURL}/qwen3ft/models/cache/list`)).json();
          return models.length;
        }, SLOW)
        .toBeGreaterThan(0);
      await page.goto();
      expect(await page.contents.uploadContent(CSV, 'text', `shop-${locale}.csv`)).toBe(true);
      await page.evaluate(
        args => window.jupyterapp.commands.execute('qwen3ft:open-finetune', args).then(() => undefined),
        { modelName: PRACTICE, data: [`shop-${locale}.csv`] }
      );
      const form = page.locator('.jp-Qwen3ft-form:visible');
      await expect(form.locator('.jp-Qwen3ft-sample mark').first()).toBeVisible(SLOW);
      await expect(form.locator('.jp-Qwen3ft-memory').first()).toBeVisible(SLOW);
      await expect(form.locator('[aria-busy=true]')).toHaveCount(0, SLOW);
      await page.screenshot({ path: join(IMAGES, file) });
    });
  });
}
