import { expect, openPanel, test } from './panel';
import { standinWithCopies } from './standin';

test.use({
  mockSettings: { '@jupyterlab/translation-extension:plugin': { locale: 'zh_CN' } }
});

test('the panel speaks Chinese', async ({ page }) => {
  const standin = standinWithCopies();
  standin.jobs[0].notices = [
    'Copied 2.8 GB in 3 files from the Hugging Face cache on this disk instead of downloading.'
  ];
  await standin.install(page);
  await page.goto();
  const panel = await openPanel(page);
  await expect(panel).toContainText('模型社区：ModelScope');
  const models = panel.getByRole('list', { name: '模型', exact: true });
  await expect(models).toContainText('生产推荐');
  await expect(models).toContainText('正在下载');
  await expect(models).toContainText('剩余 44秒');
  await expect(panel.getByRole('list', { name: '缓存', exact: true })).toContainText('2小时前使用');
  await expect(panel.getByRole('meter', { name: '配额使用情况' })).toContainText('其中 3.1 GB 尚在下载');
  await expect(panel.getByRole('list', { name: '本机其他位置的模型' })).toContainText('Hugging Face 缓存');
  await expect(panel.getByRole('list', { name: '任务' })).toContainText('16 个连接：ModelScope 12');
  await expect(panel.getByRole('list', { name: '任务' })).toContainText('空间不足');
  await expect(panel.getByRole('list', { name: '任务' })).toContainText(
    '已从本机的 Hugging Face 缓存复制 3 个文件（2.8 GB），无需下载。'
  );
  await panel.getByRole('button', { name: '下载前查看 Qwen/Qwen3-1.7B' }).click();
  const dialog = page.locator('.jp-Dialog');
  await expect(dialog).toContainText('约 48秒（108 MB/s）');
  await expect(dialog).toContainText('本机已有：Hugging Face 缓存');
  await expect(dialog).toContainText('1 个文件保持不变');
});
