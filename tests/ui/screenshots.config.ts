import config from './playwright.config';

/** Not tests: they make the pictures of README and docs. */
export default { ...config, testDir: 'screenshots' };
