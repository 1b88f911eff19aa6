import { expect, openPanel, test } from './panel';
import { Standin } from './standin';

test.use({
  mockSettings: { '@jupyterlab/translation-extension:plugin': { locale: 'zh_CN' } }
});

test('the panel speaks Chinese', async ({ page }) => {
  await new Standin().install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel).toContainText('模型社区：ModelScope');
  const models = panel.getByRole('list', { name: '模型' });
  await expect(models).toContainText('生产推荐');
  await expect(models).toContainText('正在下载');
  await expect(models).toContainText('剩余 44秒');
  await expect(panel.getByRole('list', { name: '缓存' })).toContainText('2小时前使用');
  await expect(panel.getByRole('list', { name: '任务' })).toContainText('磁盘空间不足');
});
