import { Notification } from '@jupyterlab/apputils';
import type { Event } from '@jupyterlab/services';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';

import { parseJobs } from '../api/answers';
import { CHANGE_SCHEMA_ID } from '../api/events';
import type { IApp } from '../components/context';
import { CommandIDs } from '../domain/commands';
import { Store } from '../state/store';
import { JobsItem, sumWords } from '../status/item';
import { notifyOfEnds } from '../status/notify';
import { ENGLISH, eventually, FakeServer } from './fake';

const RUNNING = {
  id: 'j',
  kind: 'download',
  title: 'Download o/n',
  state: 'running',
  state_words: 'running',
  progress: { phase: 'transferring', done: 30, total: 40, unit: 'bytes', rate: 5_000_000 }
};
const FAILED = {
  ...RUNNING,
  state: 'failed',
  state_words: 'failed',
  error: { code: 'x', message: 'No room.' }
};

describe('sumWords', () => {
  const words = (...jobs: object[]) => sumWords(parseJobs({ jobs }), ENGLISH);

  it('tells how far one job is, and how fast', () => {
    expect(words(RUNNING)).toBe('1 job · 75% · 5.0 MB/s');
  });

  it('adds the rates of several, and leaves out what waits or counts no bytes', () => {
    const steps = { ...RUNNING, id: 't', progress: { ...RUNNING.progress, unit: 'steps', rate: 2 } };
    const waits = { ...RUNNING, id: 'w', controls: { paused: true } };
    expect(words(RUNNING, { ...RUNNING, id: 'k' }, steps, waits)).toBe('4 jobs · 10.0 MB/s');
  });

  it('says no share where the whole is not known, but what is done', () => {
    expect(words({ ...RUNNING, progress: null })).toBe('1 job');
    const loading = {
      phase: 'loading',
      phase_words: 'loading the model',
      done: 0,
      total: null,
      unit: 'steps'
    };
    expect(words({ ...RUNNING, progress: loading })).toBe('1 job · loading the model');
  });

  it('does not take the end of a phase for that of the job', () => {
    const loaded = { phase: 'loading', phase_words: 'loading the model', done: 1, total: 1, unit: 'steps' };
    expect(words({ ...RUNNING, progress: loaded })).toBe('1 job · loading the model');
  });
});

describe('the status bar', () => {
  let server: FakeServer;
  let stream: Signal<object, Event.Emission>;
  let app: IApp;
  let item: JobsItem;

  beforeEach(() => {
    server = new FakeServer();
    server.replyAll();
    stream = new Signal<object, Event.Emission>({});
    const store = new Store({ client: server.client, events: stream, intervalMs: 100_000 });
    app = { ...ENGLISH, store, commands: new CommandRegistry() };
    item = new JobsItem(app);
  });

  afterEach(() => {
    item.dispose();
    app.store.dispose();
    Notification.dismiss();
  });

  it('asks for the jobs once, for nothing else, and not again while none runs', async () => {
    await app.store.refresh();
    expect(server.asked).toEqual(['GET jobs']);
    expect(app.store.isJobExpected).toBe(false);
  });

  it('asks again when the server tells of a job', async () => {
    await app.store.refresh();
    server.replyAll({ jobs: [RUNNING] });
    stream.emit({ schema_id: CHANGE_SCHEMA_ID, subject: 'job', id: 'j', state: 'running' });
    await eventually(() => expect(app.store.snapshot.jobs.map(job => job.id)).toEqual(['j']));
    expect(server.asked).toEqual(['GET jobs', 'GET jobs/j']);
  });

  it.each([
    ['all', 'failed', 1],
    ['failures', 'failed', 1],
    ['none', 'failed', 0],
    ['all', 'succeeded', 1],
    ['failures', 'succeeded', 0],
    ['all', 'stopped', 0]
  ] as const)('with %s, a job that has %s makes %i notifications', async (notices, state, count) => {
    app.store.notices = notices;
    notifyOfEnds(app);
    server.replyAll({ jobs: [RUNNING] });
    await app.store.refresh();
    server.replyAll({ jobs: [{ ...FAILED, state, state_words: state }] });
    await app.store.refresh();
    expect(Notification.manager.notifications).toHaveLength(count);
  });

  it('notifies of nothing that had ended before the page was opened', async () => {
    notifyOfEnds(app);
    server.replyAll({ jobs: [FAILED] });
    await app.store.refresh();
    expect(Notification.manager.notifications).toHaveLength(0);
  });

  it('says why a job failed, and leads to the panel', async () => {
    const shown = jest.fn();
    app.commands.addCommand(CommandIDs.openPanel, { describedBy: { args: null }, execute: shown });
    notifyOfEnds(app);
    server.replyAll({ jobs: [RUNNING] });
    await app.store.refresh();
    server.replyAll({ jobs: [FAILED] });
    await app.store.refresh();
    const [notice] = Notification.manager.notifications;
    expect([notice.message, notice.type]).toEqual(['Download o/n: failed. No room.', 'error']);
    notice.options.actions?.[0].callback(new MouseEvent('click'));
    expect(shown).toHaveBeenCalledTimes(1);
  });
});
