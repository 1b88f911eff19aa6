/** How every picture is taken: of one size, without news of JupyterLab's own, in one language. */
export const pictured = (locale: string) => ({
  viewport: { width: 1280, height: 860 },
  mockSettings: {
    '@jupyterlab/apputils-extension:notification': { fetchNews: 'false' },
    '@jupyterlab/translation-extension:plugin': { locale }
  }
});
