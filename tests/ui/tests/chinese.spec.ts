import { expect, openPanel, test } from './panel';
import { standinWithCopies } from './standin';

test.use({
  mockSettings: { '@jupyterlab/translation-extension:plugin': { locale: 'zh_CN' } }
});

test('the panel speaks Chinese', async ({ page }) => {
  const standin = standinWithCopies();
  standin.translations = {
    'Recommended for production': '推荐用于生产',
    Downloading: '下载',
    'Hugging Face cache': 'Hugging Face 缓存'
  };
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel).toContainText('平台：ModelScope');
  const models = panel.getByRole('list', { name: '模型', exact: true });
  await expect(models).toContainText('推荐用于生产');
  await expect(models.getByRole('progressbar')).toHaveAttribute('aria-label', 'Download Qwen/Qwen3-4B');
  await expect(models.locator('.jp-Qwen3ft-progressHead')).toContainText('下载');
  await expect(models).toContainText('剩余 44秒');
  await expect(panel.getByRole('list', { name: '缓存', exact: true })).toContainText('2小时前使用');
  await expect(panel.getByRole('meter', { name: '配额使用情况' })).toContainText('其中 3.1 GB 尚在下载');
  await expect(panel.getByRole('list', { name: '本机其他位置的模型' })).toContainText('Hugging Face 缓存');
  await expect(panel.getByRole('list', { name: '任务' })).toContainText('空间不足');
  await panel.getByRole('button', { name: '下载前查看 Qwen/Qwen3-1.7B' }).click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toContainText('约 48秒（108 MB/s）');
  await expect(dialog).toContainText('本机已有：Hugging Face 缓存');
  await expect(dialog).toContainText('1 个文件保持不变');
  expect([...standin.languages]).toEqual(['zh-CN']);
});

test('what the server itself says is Chinese, too', async ({ page }) => {
  await page.goto();
  const panel = await openPanel(page);
  const models = panel.getByRole('list', { name: '模型', exact: true });
  await expect(models).toContainText('推荐用于生产');
  await expect(models).toContainText('练习：无需网络');
  await panel.getByRole('button', { name: '下载 Qwen/Qwen3-0.6B', exact: true }).click();
  const card = panel.getByRole('list', { name: '任务' }).getByRole('listitem').first();
  await expect(card).toContainText('下载 Qwen/Qwen3-0.6B', { timeout: 60_000 });
  await expect(card.getByRole('alert')).toContainText('127.0.0.1:9 拒绝连接。', { timeout: 60_000 });
  await card.getByRole('button', { name: /^移除/ }).click();
});
