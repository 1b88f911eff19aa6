import { expect, openPanel, test, violations } from './panel';
import { job, Standin } from './standin';

const GB = 1e9;

test('a download waits and goes on, in Jobs and in Models', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const card = panel.getByRole('list', { name: 'Jobs' }).locator('> li').first();
  await expect(card).toContainText('connections: 12 from ModelScope, 4 from Hugging Face');
  await card.getByRole('button', { name: 'Pause: Download Qwen/Qwen3-4B' }).click();
  const row = panel
    .getByRole('list', { name: 'Models' })
    .getByRole('listitem')
    .filter({ has: page.getByRole('progressbar') });
  for (const place of [card, row]) {
    await expect(place).toContainText('Paused');
    await expect(place).not.toContainText('sec left');
  }
  await expect(panel.getByRole('status')).toHaveText('Download Qwen/Qwen3-4B: Paused');
  await row.getByRole('button', { name: 'Resume: Download Qwen/Qwen3-4B' }).click();
  await expect(card).toContainText('44 sec left');
  await expect
    .poll(() => standin.asked)
    .toEqual(['POST jobs/download-1/pause', 'POST jobs/download-1/resume']);
});

test('a speed limit is chosen from a menu, or typed, and taken away', async ({ page }) => {
  const standin = new Standin();
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const card = panel.getByRole('list', { name: 'Jobs' }).locator('> li').first();
  await card.getByRole('button', { name: 'No speed limit' }).click();
  await page.getByRole('menuitem', { name: 'At most 10 MB/s' }).click();
  await card.getByRole('button', { name: 'At most 10 MB/s' }).click();
  await page.getByRole('menuitem', { name: 'Another limit…' }).click();
  await page.locator('.jp-Dialog').getByRole('textbox').fill('2.5');
  await page.keyboard.press('Enter');
  await card.getByRole('button', { name: 'At most 2.5 MB/s' }).click();
  await page.getByRole('menuitem', { name: 'No speed limit' }).click();
  await expect(card.getByRole('button', { name: 'No speed limit' })).toBeVisible();
  await expect
    .poll(() => standin.asked)
    .toEqual([
      'POST jobs/download-1/limit?max_speed=10000000',
      'POST jobs/download-1/limit?max_speed=2500000',
      'POST jobs/download-1/limit?max_speed=0'
    ]);
});

test('a job without controls offers none', async ({ page }) => {
  const standin = new Standin();
  standin.jobs = [job('finetune-9', 'running', { kind: 'finetune', controls: null })];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByRole('button', { name: /^Stop/ })).toBeVisible();
  await expect(panel.getByRole('button', { name: /^Pause/ })).toHaveCount(0);
  await expect(panel.getByRole('button', { name: /speed limit/ })).toHaveCount(0);
});

test('a download that ended says where its bytes came from', async ({ page }) => {
  const standin = new Standin();
  standin.jobs = [
    job('download-9', 'succeeded', {
      result: {
        bytes: 7 * GB,
        hub: 'modelscope',
        sources: [
          { name: 'Hugging Face', bytes: 2 * GB },
          { name: 'ModelScope', bytes: 5 * GB }
        ],
        adopted: 1 * GB,
        evicted: ['Qwen/Qwen3-14B']
      }
    })
  ];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByRole('list', { name: 'Jobs' })).toContainText('Deleted to make roomQwen/Qwen3-14B');
  await expect(panel.getByRole('list', { name: 'Sources' }).getByRole('listitem')).toHaveText([
    'ModelScope5.0 GB · 63%',
    'Hugging Face2.0 GB · 25%',
    'This disk1.0 GB · 13%'
  ]);
});

test('a job that ran at PAI-DLC is forgotten there as well only where that is ticked', async ({ page }) => {
  const standin = new Standin();
  const params = { config: { model: 'Qwen/Qwen3-0.6B', launcher: 'pai-dlc' } };
  standin.jobs = ['finetune-1', 'finetune-2'].map(id => job(id, 'succeeded', { kind: 'finetune', params }));
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  const forget = async (isThere: boolean) => {
    await panel
      .getByRole('button', { name: /^Forget…/ })
      .first()
      .click();
    const dialog = page.getByRole('dialog', { name: /^Forget “Fine-tune/ });
    await expect(dialog).toContainText('What it made stays');
    // A key that is pressed once too often forgets nothing.
    await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused();
    await dialog
      .getByRole('checkbox', { name: 'Delete it from the list of PAI-DLC as well' })
      .setChecked(isThere);
    expect(await violations(page, '.jp-Dialog')).toEqual([]);
    await dialog.getByRole('button', { name: 'Forget', exact: true }).click();
  };
  await forget(false);
  await expect.poll(() => standin.asked).toEqual(['DELETE jobs/finetune-1']);
  await expect(panel.getByRole('button', { name: /^Forget…/ })).toHaveCount(1);
  await forget(true);
  await expect.poll(() => standin.asked.at(-1)).toBe('DELETE jobs/finetune-2?there=true');
});
