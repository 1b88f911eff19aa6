/** The pictures of a fine-tune's run, from a live JupyterLab: `make screenshot`. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from '../tests/panel';
import { pictured } from './look';

const IMAGES = join(__dirname, '../../../docs/images');
const PRACTICE_DATA = join(__dirname, '../../../qwen3ft_jupyter/practice/data/train.jsonl');
const PRACTICE = 'qwen3ft/Qwen3-Practice';
/** A whole fine-tune, on a machine that does other things, too. */
const SLOW = { timeout: 180_000 };

const LANGUAGES = [
  { locale: 'en', file: 'run.png', loss: 'Loss' },
  { locale: 'zh_CN', file: 'run.zh-CN.png', loss: '损失' }
];

for (const { locale, file, loss } of LANGUAGES) {
  test.describe(locale, () => {
    test.use(pictured(locale));

    test(file, async ({ page, baseURL }) => {
      test.setTimeout(400_000);
      await page.goto();
      const rows = readFileSync(PRACTICE_DATA, 'utf-8');
      expect(await page.contents.uploadContent(rows, 'text', `staff-${locale}.jsonl`)).toBe(true);
      const config = {
        model: PRACTICE,
        data: `staff-${locale}.jsonl`,
        output_dir: `runs/pebble-${locale}`,
        epochs: 4,
        learning_rate: 3e-3,
        batch_size: 8,
        gradient_accumulation: 1,
        eval_fraction: 0.1,
        eval_steps: 10
      };
      const started = await page.request.post(`${baseURL}/qwen3ft/finetune`, { data: { config } });
      const { id } = await started.json();
      const stateOf = async () =>
        (await (await page.request.get(`${baseURL}/qwen3ft/jobs/${id}`)).json()).state;
      await expect.poll(stateOf, SLOW).toBe('succeeded');
      await page.evaluate(
        args => window.jupyterapp.commands.execute('qwen3ft:open-run', args).then(() => undefined),
        { job_id: id, folder: '' }
      );
      const view = page.locator('.jp-Qwen3ft-page:visible');
      await expect(view.getByRole('slider', { name: new RegExp(`^${loss}`) }).first()).toBeVisible(SLOW);
      await page.evaluate(() =>
        window.jupyterapp.commands.execute('application:toggle-left-area').then(() => undefined)
      );
      await page.screenshot({ path: join(IMAGES, file) });
    });
  });
}
