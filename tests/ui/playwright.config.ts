import { execFileSync } from 'node:child_process';

import { defineConfig } from '@playwright/test';

// The workers read this file again: the first reading chooses the port, the others find it in the environment.
process.env.QWEN3FT_UI_PORT ??= execFileSync(process.execPath, [
  '-e',
  "const s = require('net').createServer().listen(0, '127.0.0.1', () => { process.stdout.write(String(s.address().port)); s.close(); })"
]).toString();

// As PAI-DSW and JupyterHub serve it: every test runs below a prefix.
const address = `http://127.0.0.1:${process.env.QWEN3FT_UI_PORT}/dsw-12345`;

// A browser that is on the machine already; otherwise the one that Playwright downloads.
const executablePath = process.env.CHROMIUM_PATH || undefined;

export default defineConfig({
  testDir: 'tests',
  reporter: 'list',
  // A busy machine is no reason to fail: these end a test that would wait for ever.
  timeout: 240_000,
  expect: { timeout: 30_000 },
  workers: 1, // one server, one cache
  use: {
    actionTimeout: 30_000,
    baseURL: address,
    viewport: { width: 1280, height: 900 },
    launchOptions: { executablePath, args: ['--no-sandbox'] },
    trace: 'retain-on-failure',
    video: 'off' // recording needs Playwright's own build of ffmpeg
  },
  webServer: {
    command: 'python server.py',
    url: `${address}/api`,
    timeout: 180_000,
    gracefulShutdown: { signal: 'SIGTERM', timeout: 10_000 },
    stdout: 'ignore',
    stderr: 'pipe'
  }
});
