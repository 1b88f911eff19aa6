/** A page that is enlarged to 200 % and 400 % has a half and a quarter of the pixels. */

import { expect, openPanel, test } from './panel';
import { job, Standin } from './standin';

const SECTIONS = '.jp-Qwen3ft-scroller';

for (const [zoom, width, height] of [
  ['200 %', 640, 450],
  ['400 %', 320, 225]
] as const) {
  test.describe(`at ${zoom}`, () => {
    test('every section shows at least a row, and all is reached by scrolling', async ({ page }) => {
      await new Standin().install(page);
      await page.goto();
      const panel = await openPanel(page);
      await page.setViewportSize({ width, height });
      await expect(panel.getByRole('list', { name: 'Jobs' })).toBeAttached();
      await expect(panel.locator(SECTIONS)).toHaveCount(3);
      const lowest = () =>
        panel
          .locator(SECTIONS)
          .evaluateAll(sections => Math.min(...sections.map(each => each.getBoundingClientRect().height)));
      await expect.poll(lowest).toBeGreaterThanOrEqual(90);
      const last = panel.getByRole('button', { name: /^Forget/ }).last();
      await last.scrollIntoViewIfNeeded();
      await expect(last).toBeInViewport();
      // A heading is not drawn over what it heads.
      const bottoms = await panel
        .locator('.jp-AccordionPanel-title')
        .evaluateAll(titles => titles.map(each => each.getBoundingClientRect().bottom));
      const bodies = await panel
        .locator(SECTIONS)
        .evaluateAll(each => each.map(one => one.getBoundingClientRect().top));
      bottoms.forEach((bottom, index) => expect(bodies[index]).toBeGreaterThanOrEqual(bottom - 1));
    });
  });
}

test('a first panel gives its room to the models, and what fills up gets its share', async ({ page }) => {
  const standin = new Standin();
  Object.assign(standin, { cached: [], jobs: [], incoming: 0, used: 0 });
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel.getByText('Nothing has run yet.')).toBeVisible();
  const share = async () => {
    const heights = await panel
      .locator(SECTIONS)
      .evaluateAll(sections => sections.map(each => each.getBoundingClientRect().height));
    return heights[0] / heights.reduce((sum, each) => sum + each, 0);
  };
  await expect.poll(share).toBeGreaterThan(0.65);
  standin.jobs = [job('download-1', 'succeeded')];
  await panel.getByRole('button', { name: 'Refresh' }).click();
  await expect.poll(share).toBeLessThan(0.6);
});
