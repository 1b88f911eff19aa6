/** What the tests do with the panel. */

import type { IJupyterLabPageFixture } from '@jupyterlab/galata';
import { test as base } from '@jupyterlab/galata';
import AxeBuilder from '@axe-core/playwright';
import type { APIRequestContext, Locator } from '@playwright/test';

export { expect } from '@jupyterlab/galata';

/** Galata waits for a tab called Launcher: it has another name in Chinese, and none when a notebook is opened. */
export const test = base.extend({
  autoGoto: false,
  waitForApplication: async ({}, use) => {
    await use(async page => {
      await page.locator('#jupyterlab-splash').waitFor({ state: 'detached' });
      await page.locator('#jp-main-dock-panel').waitFor();
    });
  }
});

export const PANEL = '#qwen3ft-panel';

/** Open the panel, 300 pixels wide, as most people have it. */
export async function openPanel(page: IJupyterLabPageFixture): Promise<Locator> {
  await page.sidebar.openTab('qwen3ft-panel');
  await page.sidebar.setWidth(300, 'left');
  const panel = page.locator(PANEL);
  await panel.waitFor();
  return panel;
}

/** What axe finds wrong with the panel; the rest of JupyterLab is not ours. */
export async function violations(page: IJupyterLabPageFixture, selector = PANEL): Promise<string[]> {
  const result = await new AxeBuilder({ page }).include(selector).analyze();
  return result.violations.flatMap(each =>
    each.nodes.map(node => `${each.id}: ${node.html} ${node.failureSummary ?? ''}`)
  );
}

/** Put a notebook with these cells where JupyterLab opens it. */
export async function putNotebook(
  request: APIRequestContext,
  baseURL: string,
  name: string,
  sources: ReadonlyArray<string>
): Promise<void> {
  const cells = sources.map((source, index) => ({
    id: `cell-${index}`,
    cell_type: 'code',
    execution_count: null,
    metadata: {},
    source,
    outputs: []
  }));
  const kernelspec = { name: 'python3', display_name: 'Python 3', language: 'python' };
  const content = { cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 };
  await request.put(`${baseURL}/api/contents/${name}`, {
    data: { type: 'notebook', format: 'json', content }
  });
}
