/** A JupyterLab of a test's own, with a hub that takes uploads; fine-tunes are started in it by the command line. */

import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test as base } from './panel';

const UI = join(__dirname, '..');
const ROOT = join(UI, '../..');
/** What the practice model learns from: a name for a model that has none. */
export const PRACTICE_DATA = join(ROOT, 'qwen3ft_jupyter/practice/data/train.jsonl');

const START_MS = 120_000;

/** A running JupyterLab, and its folders. */
export class Lab {
  private constructor(
    readonly url: string,
    readonly folder: string,
    private readonly _process: ChildProcess
  ) {}

  /** @param name - What its folder is called, beside others of the kind. */
  static async start(name: string): Promise<Lab> {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), `qwen3ft-${name}-`));
    const env = { ...process.env, QWEN3FT_UI_PORT: String(port), QWEN3FT_UI_FOLDER: folder };
    const child = spawn('python', ['server.py'], { cwd: UI, env, stdio: 'ignore' });
    const lab = new Lab(`http://127.0.0.1:${port}/dsw-12345`, folder, child);
    const end = Date.now() + START_MS;
    while (!(await isUp(`${lab.url}/api`))) {
      if (Date.now() > end || child.exitCode !== null) {
        throw new Error('JupyterLab did not start');
      }
      await new Promise(resolve => setTimeout(resolve, 200));
    }
    return lab;
  }

  async stop(): Promise<void> {
    this._held.forEach(endHeld);
    const ended = new Promise(resolve => this._process.once('exit', resolve));
    this._process.kill('SIGTERM');
    await ended;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 }); // a job may write its last line
  }

  /** Start a fine-tune of the practice model, and return the id of its job. */
  fineTune(name: string, fields: Readonly<Record<string, unknown>> = {}): string {
    const config = {
      model: 'qwen3ft/Qwen3-Practice',
      data: PRACTICE_DATA,
      output_dir: join(this.folder, 'runs', name),
      epochs: 1,
      learning_rate: 3e-3,
      batch_size: 8,
      gradient_accumulation: 1,
      max_length: 256,
      eval_fraction: 0.1,
      eval_steps: 10,
      ...fields
    };
    writeFileSync(join(this.folder, `${name}.yaml`), JSON.stringify(config));
    const args = ['-m', 'qwen3ft_jupyter', 'finetune', `${name}.yaml`, '--detach'];
    const told = execFileSync('python', args, { cwd: this.folder, env: this._environ, encoding: 'utf-8' });
    return String(/\d{8}-\d{6}-finetune-[0-9a-f]{4}/.exec(told)?.[0]);
  }

  /** The ids of the jobs of a kind, the oldest first. */
  jobs(kind: string): ReadonlyArray<string> {
    return readdirSync(join(this.folder, 'state/jobs'))
      .filter(id => id.includes(`-${kind}-`))
      .sort();
  }

  /** How a job stands, as its folder says. */
  stateOf(jobId: string): string {
    return this._statusOf(jobId).state;
  }

  /** The processes of the attempt at work, 0 for one that is not there. */
  processesOf(jobId: string): Record<'supervisor' | 'worker', number> {
    const { supervisor, worker, state } = this._statusOf(jobId);
    return state === 'running'
      ? { supervisor: supervisor?.pid ?? 0, worker: worker?.pid ?? 0 }
      : { supervisor: 0, worker: 0 };
  }

  /** End a process of a job as the system does where memory runs out. */
  kill(jobId: string, name: 'supervisor' | 'worker'): void {
    const pid = this.processesOf(jobId)[name];
    if (pid > 0) {
      process.kill(pid, 'SIGKILL');
      this._held.delete(pid);
    }
  }

  /** Let a fine-tune stand still once it has taken this many steps: a fast one would end before a page has looked. */
  async holdAt(jobId: string, name: string, steps: number): Promise<void> {
    const often = { timeout: 180_000, intervals: [20] };
    await expect.poll(() => this.stepsOf(name), often).toBeGreaterThanOrEqual(steps);
    this._held.add(this._signalWorker(jobId, 'SIGSTOP'));
  }

  /** Let a fine-tune that stands still go on. */
  release(jobId: string): void {
    this._held.delete(this._signalWorker(jobId, 'SIGCONT'));
  }

  /** How many steps a fine-tune has taken. */
  stepsOf(name: string): number {
    const path = join(this.folder, 'runs', name, 'metrics.jsonl');
    const lines = existsSync(path) ? readFileSync(path, 'utf-8').trim().split('\n') : [];
    return Math.max(0, ...lines.filter(line => line.endsWith('}')).map(line => JSON.parse(line).step));
  }

  jobFolder(jobId: string): string {
    return join(this.folder, 'state/jobs', jobId);
  }

  private _signalWorker(jobId: string, signal: 'SIGCONT' | 'SIGSTOP'): number {
    const { worker } = this.processesOf(jobId);
    expect(worker, `${jobId} is at work`).toBeGreaterThan(0); // 0 would mean the tests themselves
    process.kill(worker, signal);
    return worker;
  }

  private _statusOf(jobId: string) {
    return JSON.parse(readFileSync(join(this.jobFolder(jobId), 'status.json'), 'utf-8'));
  }

  private get _environ(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      PYTHONPATH: ROOT,
      MODEL_CACHE_DIR: join(this.folder, 'cache'),
      QWEN3FT_STATE_DIR: join(this.folder, 'state'),
      QWEN3FT_LANG: 'en'
    };
  }

  /** The workers that stand still: after a test that failed before it let them go on they would do so for ever. */
  private readonly _held = new Set<number>();
}

/**
 * Tests in a JupyterLab of their own: `lab` is started once for all tests of a file.
 *
 * Each file says whose it is with `test.use({ labOf: … })`: Playwright would keep one for all files that say the same.
 */
export const test = base.extend<object, { labOf: string; lab: Lab }>({
  labOf: ['', { option: true, scope: 'worker' }],
  lab: [
    async ({ labOf }, use) => {
      const lab = await Lab.start(labOf);
      await use(lab);
      await lab.stop();
    },
    { scope: 'worker', timeout: START_MS + 30_000 }
  ],
  baseURL: async ({ lab }, use) => use(lab.url)
});

/** End a process that stands still; it may be gone by now. */
function endHeld(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ESRCH');
  }
}

async function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

async function isUp(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
