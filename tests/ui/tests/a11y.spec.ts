import { expect, openPanel, test, violations } from './panel';
import { Standin } from './standin';

// High enough for every row: axe cannot judge the contrast of what is scrolled out of sight.
test.use({ viewport: { width: 1024, height: 3200 } });

for (const theme of ['light', 'dark'] as const) {
  test(`axe finds nothing wrong with the panel in the ${theme} theme`, async ({ page }) => {
    const standin = new Standin();
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
    expect(await violations(page)).toEqual([]);
  });
}
