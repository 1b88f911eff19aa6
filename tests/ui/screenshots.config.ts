import config from './playwright.config';

/** Not tests: they make the pictures of the README. */
export default { ...config, testDir: 'screenshots' };
