const jupyterlab = require('@jupyterlab/testing/lib/jest-config');

// Packages that are published as ES modules only, which jest has to transform.
const esModules = [
  '@codemirror',
  '@jupyter',
  '@jupyterlab/',
  '@microsoft',
  'exenv-es6',
  'lib0',
  'nanoid',
  'vscode-ws-jsonrpc',
  'y-protocols',
  'y-websocket',
  'yjs'
].join('|');

module.exports = {
  ...jupyterlab(__dirname),
  automock: false,
  testTimeout: 60_000,
  reporters: ['default'],
  roots: ['<rootDir>/labextension/src'],
  testRegex: '__tests__/.*\\.spec\\.tsx?$',
  testPathIgnorePatterns: ['/labextension/lib/', '/node_modules/'],
  // The bundle holds a copy of package.json: two packages of one name would clash.
  modulePathIgnorePatterns: [
    '<rootDir>/qwen3ft_jupyter/labextension',
    '<rootDir>/.venv',
    '<rootDir>/tests/ui'
  ],
  transformIgnorePatterns: [`/node_modules/(?!${esModules}).+`]
};
