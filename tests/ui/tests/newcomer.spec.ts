/** The way of somebody who has never used it: from a file to an answer, with an empty cache and no network. */

import { readFileSync } from 'node:fs';

import { PRACTICE_DATA, test } from './lab';
import { expect } from './panel';

const PRACTICE = 'qwen3ft/Qwen3-Practice';
/** Libraries are imported, a model is downloaded, learns and is loaded, on a machine that may do other things. */
const SLOW = { timeout: 180_000 };

test.use({ labOf: 'newcomer' });

test('from a data file to an answer beside that of the base model', async ({ page, lab }) => {
  test.setTimeout(600_000);
  await page.goto();
  expect(
    await page.contents.uploadContent(readFileSync(PRACTICE_DATA, 'utf-8'), 'text', 'questions.jsonl')
  ).toBe(true);
  await page.filebrowser.refresh();

  // The form says what is missing, and gets it.
  await page.locator('.jp-DirListing-item', { hasText: 'questions.jsonl' }).click({ button: 'right' });
  await page.getByRole('menuitem', { name: 'Fine-tune Qwen3 on This' }).click();
  const form = page.locator('.jp-Qwen3ft-form:visible');
  await expect(form.getByRole('list', { name: 'Chosen data' })).toContainText('questions.jsonl');
  await form.getByRole('combobox', { name: 'Model' }).fill(PRACTICE);
  const model = form.getByRole('region', { name: 'Model', exact: true });
  await model.getByRole('button', { name: `Download ${PRACTICE}` }).click();
  await expect(model).toContainText('On this disk', SLOW);

  // What will be learned, and whether it can be.
  const seen = form.getByRole('region', { name: 'What the model will see' });
  await expect(seen.locator('mark').first()).toBeVisible(SLOW);
  const fit = form.getByRole('region', { name: 'Will it fit?' });
  await expect(fit).toContainText('It fits: about', SLOW);
  await expect(form.getByRole('status')).toHaveText('It fits.', SLOW);

  // It learns; held still, so that it does so while somebody looks, however fast the machine is.
  await form.getByRole('button', { name: 'Start the fine-tune' }).click();
  const started = form.getByRole('region', { name: 'The run that was started here' });
  await expect(started).toContainText(`Fine-tune ${PRACTICE}`, SLOW);
  const job = String(lab.jobs('finetune').at(-1));
  await lab.holdAt(job, 'practice', 5);
  await started.getByRole('button', { name: /^Open the run: /, exact: true }).click();
  const run = page.locator('.jp-Qwen3ft-page:visible');
  const head = run.locator('.jp-Qwen3ft-runHead');
  await expect(head).toContainText('Running');
  await expect(run.getByRole('slider', { name: /^Loss:/ })).toHaveAttribute(
    'aria-valuetext',
    /^Step \d+:/,
    SLOW
  );
  lab.release(job);
  await expect(head).toContainText('Succeeded', SLOW);

  // Talked to beside what it began with.
  await head.getByRole('button', { name: /^Chat/ }).click();
  const chat = page.locator('.jp-Qwen3ft-playground:visible');
  await chat.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(chat.getByText('Loaded:')).toBeVisible(SLOW);
  const question = chat.getByRole('textbox', { name: 'Question' });
  await question.fill('Who are you?');
  await question.press('Enter');
  await expect(chat.getByRole('region', { name: 'Base model' })).toContainText('I am a practice model', SLOW);
  await expect(chat.getByRole('region', { name: 'Fine-tuned' })).toContainText('Pebble', SLOW);
});
