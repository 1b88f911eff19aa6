import type { Kernel } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { EMPTY_FORM } from '../playground/form';
import type { PlaygroundArgs } from '../playground/args';
import { Playground } from '../playground/model';
import { eventually } from './fake';

interface IFakeComm {
  readonly isDisposed: boolean;
  onMsg: (message: object) => void;
  readonly open: () => void;
}

/** A kernel that does what a test says. */
class FakeKernel {
  constructor(readonly id: string) {}

  readonly statusChanged = new Signal<this, Kernel.Status>(this);
  readonly connectionStatusChanged = new Signal<this, Kernel.ConnectionStatus>(this);
  readonly disposed = new Signal<this, void>(this);
  connectionStatus: Kernel.ConnectionStatus = 'connected';
  status: Kernel.Status = 'idle';
  isDisposed = false;
  reply: object = { status: 'ok' };
  sent: object[] = [];
  comm: IFakeComm = { isDisposed: false, onMsg: () => undefined, open: () => undefined };

  /** When what is run has ended. */
  until: Promise<void> = Promise.resolve();

  requestExecute() {
    return { done: this.until.then(() => ({ content: this.reply })) };
  }

  interrupt(): Promise<void> {
    return Promise.reject(new Error('no server'));
  }

  createComm() {
    this.comm = { ...this.comm };
    return Object.assign(this.comm, {
      send: (message: object) => this.sent.push(message),
      dispose: () => undefined
    });
  }

  dispose(): void {
    this.isDisposed = true;
  }

  says(data: object): void {
    this.comm.onMsg({ content: { data } });
  }
}

const ARGS: PlaygroundArgs = {
  key: 'k',
  model: 'a/b',
  adapter: '',
  label: '',
  kernel: '',
  spec: '',
  form: EMPTY_FORM
};
const TURN = { question: 'Hi', replies: {}, system: '', options: {} };

function make(args: Partial<PlaygroundArgs> = {}) {
  const started: FakeKernel[] = [];
  const ended: string[] = [];
  const server = { isUp: true, ending: Promise.resolve() };
  const kept: PlaygroundArgs[] = [];
  const next: { reply: object; wait: Promise<void>; until: Promise<void> } = {
    reply: { status: 'ok' },
    wait: Promise.resolve(),
    until: Promise.resolve()
  };
  const kernels = {
    startNew: async () => {
      const kernel = new FakeKernel(`kernel-${started.length + 1}`);
      kernel.reply = next.reply;
      kernel.until = next.until;
      started.push(kernel);
      await next.wait;
      return kernel;
    },
    connectTo: () => started[0],
    shutdown: async (id: string) => {
      await server.ending;
      if (!server.isUp) {
        throw new Error('no server');
      }
      ended.push(id);
    }
  };
  const findKernel = async (id: string) => {
    if (!server.isUp) {
      throw new Error('no server');
    }
    return started.find(each => each.id === id) as unknown as Kernel.IModel | undefined;
  };
  const playground = new Playground({
    args: { ...ARGS, ...args },
    kernels: kernels as unknown as Kernel.IManager,
    findKernel,
    stopMs: 0,
    locale: 'en',
    usualSpec: () => 'python3',
    labelOf: ({ model }) => model,
    setTitle: () => undefined,
    keep: each => kept.push(each),
    onCode: () => undefined
  });
  return { playground, started, ended, kept, next, server };
}

describe('a playground', () => {
  it('starts a kernel of its own, keeps its id and loads', async () => {
    const { playground, started, kept } = make();
    await playground.load();
    expect(started[0].sent).toEqual([{ do: 'load', model: 'a/b', adapter: '', locale: 'en' }]);
    expect(kept[kept.length - 1].kernel).toBe('kernel-1');
    expect(playground.snapshot.line).toBe('open');
  });

  it('says what a kernel lacks', async () => {
    const { playground, next } = make();
    next.reply = {
      status: 'error',
      ename: 'ModuleNotFoundError',
      evalue: "No module named 'qwen3ft_jupyter'"
    };
    await playground.load();
    expect(playground.snapshot.line).toBe('refused');
    expect(playground.snapshot.refusal?.kind).toBe('ModuleNotFoundError');
  });

  it('ends a kernel that came up after the load was given up', async () => {
    const { playground, started, ended, next } = make();
    let goOn = (): void => undefined;
    next.wait = new Promise(resolve => (goOn = resolve));
    const loading = playground.load();
    await new Promise(resolve => setTimeout(resolve)); // until the kernel is asked for
    await playground.shutdown();
    goOn();
    await loading;
    expect(ended).toEqual(['kernel-1']);
    expect(started[0].sent).toEqual([]);
    expect(playground.snapshot.line).toBe('none');
  });

  it('starts none where the load is given up at once', async () => {
    const { playground, started } = make();
    const loading = playground.load();
    await playground.shutdown();
    await loading;
    expect(started).toEqual([]);
  });

  it('tells the next kernel what was said in one that is gone', async () => {
    const { playground, started } = make();
    await playground.load();
    started[0].says({ type: 'state', phase: 'ready', turns: [TURN] });
    started[0].status = 'dead';
    started[0].statusChanged.emit('dead');
    expect(playground.snapshot.line).toBe('dead');
    expect(playground.snapshot.told.turns).toHaveLength(1);
    await playground.load();
    started[1].says({ type: 'state', phase: 'empty', turns: [] });
    expect(playground.snapshot.told.turns).toHaveLength(1);
    expect(started[1].sent).toContainEqual({ do: 'restore', turns: [TURN] });
  });

  it('can be cleared while nothing is loaded', async () => {
    const { playground, started } = make();
    await playground.load();
    started[0].says({ type: 'state', phase: 'ready', turns: [TURN] });
    started[0].statusChanged.emit('autorestarting');
    expect(playground.snapshot.line).toBe('restarted');
    playground.clear();
    expect(playground.snapshot.told.turns).toEqual([]);
  });

  it('finds the kernel again after a reload, or says that it is gone', async () => {
    const { playground } = make({ kernel: 'nobody' });
    expect(playground.snapshot.line).toBe('starting');
    await new Promise(resolve => playground.subscribe(() => resolve(null)));
    expect(playground.snapshot.line).toBe('dead');
  });

  it('takes a server that does not answer for no end of the kernel: it is sought on, and ended with its tab', async () => {
    const { playground, started, kept, server } = make({ kernel: 'kernel-1' });
    server.isUp = false;
    playground.reconnect();
    await eventually(() => expect(playground.snapshot.line).toBe('lost'));
    playground.fill({ seed: '9' });
    await eventually(() => expect(kept.at(-1)?.kernel).toBe('kernel-1'));
    started.push(new FakeKernel('kernel-1'));
    server.isUp = true;
    await eventually(() => expect(playground.snapshot.line).toBe('open'));
    expect(started).toHaveLength(1);
  });

  it('keeps a kernel that could not be ended, and starts no other beside it', async () => {
    const { playground, started, ended, kept, server } = make();
    await playground.load();
    server.isUp = false;
    await playground.shutdown();
    expect(playground.snapshot.line).toBe('lost');
    expect(kept.at(-1)?.kernel).toBe('kernel-1');
    await playground.load();
    expect(started).toHaveLength(1);
    server.isUp = true;
    await playground.load();
    expect(ended).toEqual(['kernel-1']);
    expect(started).toHaveLength(2);
  });

  it('ends a load by asking, and the kernel only where that is not heeded', async () => {
    const { playground, started, ended } = make();
    await playground.load();
    started[0].says({ type: 'state', phase: 'loading', turns: [TURN] });
    const stopping = playground.stopLoad();
    expect(started[0].sent.at(-1)).toEqual({ do: 'stop' });
    started[0].says({ type: 'state', phase: 'empty', turns: [TURN] });
    await stopping;
    expect(ended).toEqual([]);
    expect(playground.snapshot).toMatchObject({ line: 'open', isStopping: false, isEnded: false });
    started[0].says({ type: 'state', phase: 'loading', turns: [TURN] });
    await playground.stopLoad();
    expect(ended).toEqual(['kernel-1']);
    expect(playground.snapshot).toMatchObject({ line: 'none', isEnded: true });
    expect(playground.snapshot.told.turns).toHaveLength(1);
  });

  it('says that the kernel was ended only once it is gone', async () => {
    const { playground, started, server } = make();
    await playground.load();
    started[0].says({ type: 'state', phase: 'loading', turns: [] });
    server.isUp = false;
    await playground.stopLoad();
    expect(playground.snapshot).toMatchObject({ line: 'lost', isEnded: false });
  });

  it('does not say of a later load that its kernel was ended', async () => {
    const { playground, started, server } = make();
    await playground.load();
    started[0].says({ type: 'state', phase: 'loading', turns: [] });
    let goOn = (): void => undefined;
    server.ending = new Promise(resolve => (goOn = resolve));
    const stopping = playground.stopLoad();
    await eventually(() => expect(playground.snapshot.line).toBe('none'));
    await playground.load();
    goOn();
    await stopping;
    expect(playground.snapshot).toMatchObject({ line: 'open', isEnded: false });
  });

  it('is told when another window takes the kernel, and takes it back', async () => {
    const { playground, started, kept } = make();
    await playground.load();
    started[0].says({ type: 'taken' });
    expect(playground.snapshot.line).toBe('taken');
    expect(kept.at(-1)?.kernel).toBe(''); // a tab that is closed then does not end what the other window uses
    playground.reconnect();
    await new Promise(resolve => playground.subscribe(() => resolve(null)));
    expect(playground.snapshot.line).toBe('open');
    expect(kept.at(-1)?.kernel).toBe('kernel-1');
  });

  it('keeps the id of a kernel that has not answered yet: who closes the tab ends it', async () => {
    const { playground, kept, next } = make();
    let goOn = (): void => undefined;
    next.until = new Promise(resolve => (goOn = resolve));
    const loading = playground.load();
    while (kept.length === 0) {
      await new Promise(resolve => playground.subscribe(() => resolve(null)));
    }
    expect(playground.snapshot.line).toBe('starting');
    expect(kept[kept.length - 1].kernel).toBe('kernel-1');
    playground.dispose();
    goOn();
    await loading;
  });

  it('loads once in a kernel that was started anew, however often that is asked for', async () => {
    const { playground, started } = make();
    await playground.load();
    const [kernel] = started;
    kernel.statusChanged.emit('autorestarting');
    kernel.sent = [];
    await Promise.all([playground.load(), playground.load()]);
    expect(kernel.sent).toHaveLength(1);
    expect(playground.snapshot.line).toBe('open');
  });

  it('takes the kernel that was chosen after the one before was started anew', async () => {
    const { playground, started, ended } = make();
    await playground.load();
    started[0].statusChanged.emit('autorestarting');
    playground.chooseSpec('another');
    await playground.load();
    expect(ended).toEqual(['kernel-1']);
    expect(started).toHaveLength(2);
  });

  it('is not taken from itself when it is opened twice at once', async () => {
    const { playground, started } = make();
    await playground.load();
    started[0].says({ type: 'taken' });
    const first: IFakeComm[] = [];
    playground.reconnect();
    playground.reconnect();
    const create = started[0].createComm.bind(started[0]);
    started[0].createComm = () => {
      const made = create();
      first.push(made);
      return made;
    };
    while (first.length < 2) {
      await new Promise(resolve => setTimeout(resolve));
    }
    first[0].onMsg({ content: { data: { type: 'taken' } } });
    expect(playground.snapshot.line).toBe('open');
  });

  it('bears that a kernel cannot be interrupted', async () => {
    const { playground } = make();
    await playground.load();
    await expect(playground.interrupt()).resolves.toBeUndefined();
  });
});
