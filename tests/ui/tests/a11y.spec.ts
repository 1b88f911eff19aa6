import { expect, openPanel, test, violations } from './panel';
import { job, plan, standinWithCopies } from './standin';

// High enough for every row: axe cannot judge the contrast of what is scrolled out of sight.
test.use({ viewport: { width: 1024, height: 3200 } });

for (const theme of ['light', 'dark'] as const) {
  test(`axe finds nothing wrong with the panel in the ${theme} theme`, async ({ page }) => {
    const standin = standinWithCopies();
    standin.jobs.push(
      job('download-7', 'succeeded', {
        result: { bytes: 7e9, hub: 'modelscope', sources: [{ name: 'ModelScope', bytes: 7e9 }], adopted: 1e9 }
      }),
      job('verify-7', 'succeeded', {
        kind: 'verify',
        params: { model_name: 'Qwen/Qwen3-1.7B' },
        result: { ok: false, missing: [], wrong: ['model.safetensors'] }
      })
    );
    standin.plan = plan('Qwen/Qwen3-1.7B', {
      missing_bytes: 1e9,
      to_evict: ['Qwen/Qwen3-14B'],
      evictable: [{ name: 'Qwen/Qwen3-0.6B', bytes: 1.5e9 }]
    });
    standin.version = '9.9.9';
    standin.warnings = ['USE_MODELSCOPE comes from a .env file in the working folder.'];
    await standin.install(page);
    await page.goto();
    if (theme === 'dark') {
      await page.theme.setDarkTheme();
    } else {
      await page.theme.setLightTheme();
    }
    const panel = await openPanel(page);
    await panel.getByRole('button', { name: 'Details of Qwen/Qwen3-4B', exact: true }).click();
    await panel.getByRole('button', { name: 'Log: Download Qwen/Qwen3-4B' }).first().click();
    await expect(panel.getByRole('log')).toBeVisible();
    await expect(panel.getByRole('list', { name: 'Sources' })).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await panel.getByRole('button', { name: 'Before the download of Qwen/Qwen3-1.7B' }).click();
    await expect(page.locator('.jp-Qwen3ft-plan')).toBeVisible();
    expect(await violations(page, '.jp-Qwen3ft-plan')).toEqual([]);
  });
}

test('who goes through the panel by keyboard sees where they are', async ({ page }) => {
  await standinWithCopies().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByRole('combobox').first()).toBeVisible();
  await panel.getByRole('button').first().focus();
  const unseen: string[] = [];
  let selects = 0;
  for (let step = 0; step < 25; step++) {
    await page.keyboard.press('Tab');
    const { name, isSeen } = await panel.evaluate(within => {
      const focused = document.activeElement ?? document.body;
      const { outlineStyle, boxShadow } = getComputedStyle(focused);
      const name = `${focused.tagName} ${focused.getAttribute('aria-label') ?? focused.textContent ?? ''}`;
      const isSeen = !within.contains(focused) || outlineStyle !== 'none' || boxShadow !== 'none';
      return { name, isSeen };
    });
    selects += name.startsWith('SELECT') ? 1 : 0;
    if (!isSeen) {
      unseen.push(name);
    }
  }
  expect(selects).toBeGreaterThan(0);
  expect(unseen).toEqual([]);
});
