import { MimeModel, RenderMimeRegistry, standardRendererFactories } from '@jupyterlab/rendermime';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';

import type { IApp } from '../components/context';
import { JobOutput } from '../notebook/output';
import { JOB_MIME_TYPE } from '../notebook/place';
import { Store } from '../state/store';
import { addressOf, ENGLISH, eventually, FakeServer, FakeSight } from './fake';

const HOSTILE = '<img src=x onerror="document.title=\'owned\'">';

describe('JobOutput', () => {
  let server: FakeServer;
  let store: Store;
  let rendermime: RenderMimeRegistry;
  let app: IApp;
  let output: JobOutput;
  let shown: string[];

  beforeEach(() => {
    server = new FakeServer();
    rendermime = new RenderMimeRegistry({ initialFactories: standardRendererFactories });
    store = new Store({ client: server.client, events: null, intervalMs: 100_000 });
    app = { ...ENGLISH, store, commands: new CommandRegistry() };
    shown = [];
    output = new JobOutput(app, rendermime, (_, id) => shown.push(id));
    Widget.attach(output, document.body);
  });

  afterEach(() => {
    output.dispose();
    store.dispose();
  });

  async function render(id: string, html = '<p>saved</p>'): Promise<void> {
    const data = { [JOB_MIME_TYPE]: { id }, 'text/html': html, 'text/plain': 'saved' };
    await output.renderModel(new MimeModel({ data, trusted: true }));
  }

  it('shows a running job live, with the curve of its loss', async () => {
    server.reply('GET jobs/j', {
      id: 'j',
      averages: { loss: { first: 2.4, last: 0.6, over: 10 } },
      kind: 'finetune',
      title: 'Fine-tune Qwen/Qwen3-0.6B → runs',
      state: 'running',
      params: { config: { model: 'Qwen/Qwen3-0.6B' } },
      progress: { phase: 'training', done: 30, total: 120, unit: 'steps', unit_words: 'steps', eta_s: 60 }
    });
    server.reply('GET jobs/j/metrics', {
      metrics: [
        { step: 1, loss: 2.5 },
        { step: 30, loss: 0.5 }
      ],
      next_after: 4
    });
    await render('j');
    await eventually(() => expect(output.node.textContent).toContain('Fine-tune Qwen/Qwen3-0.6B'));
    expect(output.node.querySelector('progress')?.value).toBeCloseTo(0.25);
    expect(output.node.querySelector('svg[role="img"]')?.getAttribute('aria-label')).toBe(
      'Loss 2.4 → 0.6, means of the first and the last 10 steps; 30 steps'
    );
    expect(output.node.textContent).toContain('30 of 120 steps');
  });

  it('follows the job to its end and asks no more', async () => {
    server.reply('GET jobs/j', { id: 'j', state: 'running' });
    await render('j');
    server.reply('GET jobs/j', { id: 'j', state: 'succeeded', result: { output_dir: 'runs/x' } });
    await eventually(() => expect(output.node.textContent).toContain('runs/x'));
    const asked = server.asked.length;
    await new Promise(resolve => setTimeout(resolve, 1500));
    expect(server.asked.length).toBe(asked);
  });

  it('asks nothing while it is scrolled out of sight, and at once when it is in sight again', async () => {
    const sight = new FakeSight();
    output.dispose();
    output = new JobOutput(app, rendermime);
    Widget.attach(output, document.body);
    server.reply('GET jobs/j', { id: 'j', state: 'running' });
    await render('j');
    sight.tell(false);
    const asked = server.asked.length;
    await new Promise(resolve => setTimeout(resolve, 1500));
    expect(server.asked.length).toBe(asked);
    server.reply('GET jobs/j', { id: 'j', state: 'succeeded', result: { output_dir: 'runs/x' } });
    sight.tell(true);
    await eventually(() => expect(output.node.textContent).toContain('runs/x'));
    sight.dispose();
  });

  it('asks only for what is new in the curve', async () => {
    server.reply('GET jobs/j', { id: 'j', kind: 'finetune', state: 'running' });
    server.reply('GET jobs/j/metrics', {
      metrics: Array.from({ length: 200 }, (_, step) => ({ step, loss: 3 })),
      next_after: 900
    });
    await render('j');
    server.reply('GET jobs/j', { id: 'j', kind: 'finetune', state: 'succeeded' });
    server.reply('GET jobs/j/metrics', { metrics: [{ step: 900, loss: 0.5 }], next_after: 902 });
    const curve = () => output.node.querySelector('svg[role="img"]')?.getAttribute('aria-label');
    await eventually(() => expect(curve()).toBe('Loss over 900 steps'));
    const asked = server.requests.map(addressOf).filter(each => each.includes('/metrics'));
    expect(asked.map(each => new URLSearchParams(each.split('?')[1]).get('after'))).toEqual(['0', '900']);
  });

  it('stops the job when asked to', async () => {
    server.reply('GET jobs/j', { id: 'j', state: 'running' });
    server.reply('POST jobs/j/stop', { id: 'j', state: 'stopping' });
    await render('j');
    await eventually(() => expect(output.node.querySelector('button')).not.toBeNull());
    output.node.querySelector('button')?.click();
    await eventually(() => expect(server.asked).toContain('POST jobs/j/stop'));
  });

  it('shows the saved form, sanitised, where the server does not know the job', async () => {
    server.reply('GET jobs/j', { code: 'job-not-found', message: 'm', hint: '' }, 404);
    await render('j', `<p>saved</p>${HOSTILE}<script>document.title='owned'</script>`);
    expect(output.node.textContent).toContain('saved');
    expect(output.node.innerHTML).not.toContain('onerror');
    expect(output.node.querySelector('script')).toBeNull();
  });

  it('shows the saved form where there is no server part at all', async () => {
    await render('j');
    expect(output.node.textContent).toContain('saved');
  });

  it('shows the saved form until the server answers', async () => {
    const answer = server.hold('GET jobs/j');
    void render('j');
    await eventually(() => expect(output.node.textContent).toContain('saved'));
    answer({ id: 'j', state: 'succeeded', result: { output_dir: 'runs/x' } });
    await eventually(() => expect(output.node.textContent).toContain('runs/x'));
    expect(output.node.textContent).not.toContain('saved');
  });

  it('renews the saved form without asking again and again where the server does not know the job', async () => {
    server.reply('GET jobs/j', { code: 'job-not-found', message: 'm', hint: '' }, 404);
    for (let count = 0; count < 20; count++) {
      await render('j', `<p>saved ${count}</p>`);
    }
    expect(output.node.textContent).toBe('saved 19');
    expect(server.asked.filter(each => each === 'GET jobs/j')).toHaveLength(1);
  });

  it('keeps the live view when the saved form is renewed at the same time', async () => {
    server.reply('GET jobs/j', { id: 'j', state: 'succeeded', result: { output_dir: 'runs/x' } });
    await Promise.all([
      render('j', '<p>saved 1</p>'),
      render('j', '<p>saved 2</p>'),
      render('j', '<p>saved 3</p>')
    ]);
    await eventually(() => expect(output.node.textContent).toContain('runs/x'));
    expect(output.node.textContent).not.toContain('saved');
  });

  it('tells once that it shows a job, before the server answers', async () => {
    server.hold('GET jobs/j');
    void render('j');
    await eventually(() => expect(shown).toEqual(['j']));
    void render('j', '<p>saved again</p>');
    await eventually(() => expect(output.node.textContent).toContain('saved again'));
    expect(shown).toEqual(['j']);
  });

  it('shows hostile names as the text they are', async () => {
    server.reply('GET jobs/j', {
      id: 'j',
      kind: 'download',
      state: 'failed',
      params: { model_name: HOSTILE },
      error: { code: 'bad-name', message: HOSTILE, hint: HOSTILE },
      notices: [HOSTILE]
    });
    await render('j');
    await eventually(() => expect(output.node.textContent).toContain('onerror'));
    expect(output.node.querySelector('img')).toBeNull();
  });

  it('shows the processes that train together, a row each', async () => {
    server.reply('GET jobs/j/metrics', { metrics: [], next_after: 0 });
    const row = { host: 'gpu-1', device: 'cuda:0', health: 'running', health_words: 'running' };
    server.reply('GET jobs/j', {
      id: 'j',
      kind: 'finetune',
      state: 'running',
      ranks: {
        metrics: { tokens_per_s: 2000.4, tokens_per_s_per_device: 1000.2, parallel_efficiency: 0.824 },
        ranks: [
          { ...row, rank: 0, work: 0.5, busy: 0.9 },
          { ...row, rank: 1, host: HOSTILE, health: 'gone', health_words: 'gone', work: null, busy: null }
        ]
      }
    });
    await render('j');
    await eventually(() => expect(output.node.querySelectorAll('tbody tr')).toHaveLength(2));
    const cells = (tr: Element) => [...tr.children].map(cell => cell.textContent);
    const [first, second] = output.node.querySelectorAll('tbody tr');
    expect(cells(first)).toEqual(['0', 'gpu-1', 'cuda:0', 'running', '50%', '90%']);
    expect(cells(second)).toEqual(['1', HOSTILE, 'cuda:0', 'gone', '', '']);
    expect(output.node.textContent).toContain('2,000 tokens/s, 1,000 on each device');
    expect(output.node.textContent).toContain('parallel efficiency 82%');
  });

  it('is not disturbed by updates of the saved form', async () => {
    server.reply('GET jobs/j', { id: 'j', state: 'succeeded' });
    await render('j');
    const asked = server.asked.length;
    await render('j', '<p>saved again</p>');
    expect(server.asked.length).toBe(asked);
    expect(output.node.textContent).not.toContain('saved again');
  });
});
