/** A kernel of the playground's own, and the comm to our part in it. */

import type { Kernel } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import { json } from '../api/read';
import type { FindKernel } from './kernels';
import { endKernel, findInTime } from './kernels';
import { SERVE_CODE, TARGET } from './protocol';

/** So long a kernel may do something else before that is said. */
const BUSY_AFTER_MS = 5_000;

/**
 * How it stands with the kernel.
 *
 * `none`: there is none yet. `restarted`: it died, or was started anew; what was loaded is gone. `dead`: it is gone.
 * `lost`: the server is not heard of. `busy`: it runs something that is not ours. `taken`: another page uses it.
 * `refused`: our part could not be started in it, `refusal` says why.
 */
export type Line =
  'none' | 'starting' | 'open' | 'busy' | 'lost' | 'restarted' | 'dead' | 'taken' | 'refused';

/** Why a kernel cannot serve: the name of the exception, and what it says. */
export interface IRefusal {
  readonly kind: string;
  readonly words: string;
}

/** The kernel from its start to its end. Whoever disposes of this leaves the kernel alone: `shutdown` ends it. */
export class KernelLine implements IDisposable {
  /**
   * @param _kernels - Where kernels are started and ended.
   * @param _find - Where one is found again.
   */
  constructor(
    private readonly _kernels: Kernel.IManager,
    private readonly _find: FindKernel
  ) {}

  /** Emitted when `state` or `kernelId` is another. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** What our part in the kernel says. */
  get heard(): ISignal<this, unknown> {
    return this._heard;
  }

  /** How it stands. */
  get state(): Line {
    return this._state;
  }

  /** Why the kernel cannot serve, null where it can. */
  get refusal(): IRefusal | null {
    return this._refusal;
  }

  /** The kernel's id, also while it is out of reach; empty where there is none. */
  get kernelId(): string {
    return this._kernel?.id ?? this._sought;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Start a kernel; tell whether our part in it answers. */
  async start(name: string): Promise<boolean> {
    const attempt = this._forget();
    this._set('starting');
    try {
      return await this._use(await this._kernels.startNew({ name }), attempt);
    } catch (error) {
      const words = error instanceof Error ? error.message : '';
      return attempt === this._attempt && this._refuse('KernelError', words);
    }
  }

  /** Use a kernel that runs already, as soon as the server answers; tell whether it was there and answers. */
  async connect(id: string): Promise<boolean> {
    const attempt = this._forget();
    this._sought = id;
    this._set('starting');
    const isWanted = () => attempt === this._attempt;
    const model = await findInTime(this._find, id, () => this._set('lost'), isWanted);
    if (model === null) {
      return false;
    }
    this._sought = '';
    if (model === undefined) {
      this._set('dead');
      return false;
    }
    return this._use(this._kernels.connectTo({ model }), attempt);
  }

  /** Come back to a kernel that another page took, that was started anew, or that was busy or out of reach. */
  async again(): Promise<boolean> {
    const kernel = this._kernel;
    if (kernel === null) {
      return this._sought !== '' && this.connect(this._sought);
    }
    if (this._state === 'restarted') {
      this._set('starting'); // a second click is not to open it twice
    }
    if (kernel.connectionStatus !== 'connected') {
      await kernel.reconnect().catch(() => undefined);
    }
    return this._open(kernel);
  }

  /** End what somebody else runs in the kernel; what cannot be reached is told of by `state`. */
  async interrupt(): Promise<void> {
    await this._kernel?.interrupt().catch(() => undefined);
  }

  /** End the kernel, and with it all that it holds; tell whether it is gone. One that cannot be reached is kept. */
  async shutdown(): Promise<boolean> {
    const id = this.kernelId;
    const attempt = this._forget();
    this._set('none');
    const isGone = id === '' || (await endKernel(this._kernels, this._find, id));
    if (!isGone && attempt === this._attempt) {
      this._sought = id;
      this._set('lost');
    }
    return isGone;
  }

  /** Say something to our part in the kernel. */
  send(message: object): void {
    if (this._comm !== null && !this._comm.isDisposed) {
      void this._comm.send(JSON.parse(JSON.stringify(message)));
      this._watchBusy();
    }
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._forget();
      Signal.clearData(this);
    }
  }

  private async _use(kernel: Kernel.IKernelConnection, attempt: number): Promise<boolean> {
    if (this._isDisposed || attempt !== this._attempt) {
      // The view was closed while it started, or somebody thought better of it.
      kernel.dispose();
      await endKernel(this._kernels, this._find, kernel.id);
      return false;
    }
    this._kernel = kernel;
    kernel.statusChanged.connect(this._onStatus, this);
    kernel.connectionStatusChanged.connect(this._onConnection, this);
    kernel.disposed.connect(this._onGone, this);
    this._changed.emit(); // whoever ends it has to know its id before it answers
    return this._open(kernel);
  }

  private async _open(kernel: Kernel.IKernelConnection): Promise<boolean> {
    this._comm?.dispose(); // that it is replaced is not to be heard as another page's doing
    this._comm = null;
    this._watchBusy();
    const request = { code: SERVE_CODE, silent: true, store_history: false };
    const reply = await kernel
      .requestExecute(request, true)
      .done.catch(() => null)
      .finally(() => clearTimeout(this._busyTimer));
    if (this._isDisposed || kernel !== this._kernel) {
      return false;
    }
    if (reply === null) {
      const isLost =
        !kernel.isDisposed && kernel.status !== 'dead' && kernel.connectionStatus !== 'connected';
      this._set(this._state !== 'starting' ? this._state : isLost ? 'lost' : 'dead');
      return false;
    }
    if (reply.content.status !== 'ok') {
      const content = json(reply.content);
      return this._refuse(String(content.ename ?? ''), String(content.evalue ?? ''));
    }
    const comm = kernel.createComm(TARGET);
    this._comm = comm;
    comm.onMsg = message => {
      if (comm === this._comm) {
        this._onMessage(message.content.data); // of two that were opened at once, only the later one counts
      }
    };
    comm.open({});
    this._refusal = null;
    this._set('open');
    return true;
  }

  private _refuse(kind: string, words: string): false {
    this._refusal = { kind, words };
    this._set('refused');
    return false;
  }

  private _onMessage(data: unknown): void {
    clearTimeout(this._busyTimer);
    if (json(data).type === 'taken') {
      this._comm = null;
      this._set('taken');
      return;
    }
    if (this._state === 'busy') {
      this._set('open');
    }
    this._heard.emit(data);
  }

  private _onStatus(_: unknown, status: Kernel.Status): void {
    if (status === 'dead') {
      this._onGone();
    } else if (status === 'autorestarting' || status === 'restarting') {
      this._comm = null;
      this._set('restarted');
    }
  }

  private _onConnection(_: unknown, status: Kernel.ConnectionStatus): void {
    if (status !== 'connected' && this._state === 'open') {
      this._set('lost');
    } else if (status === 'connected' && this._state === 'lost' && this._kernel !== null) {
      if (this._comm === null) {
        void this._open(this._kernel); // it was lost before it answered
        return;
      }
      this._set('open');
      this.send({ do: 'state' });
    }
  }

  private _onGone(): void {
    this._comm = null;
    this._kernel = null;
    this._set('dead');
  }

  /** Say that the kernel does something else, if nothing is heard for a while. */
  private _watchBusy(): void {
    clearTimeout(this._busyTimer);
    this._busyTimer = setTimeout(() => {
      if (this._kernel?.status === 'busy' && (this._state === 'open' || this._state === 'starting')) {
        this._set('busy');
      }
    }, BUSY_AFTER_MS);
  }

  /** Let go of the kernel; gives the number of what is tried next. */
  private _forget(): number {
    clearTimeout(this._busyTimer);
    const kernel = this._kernel;
    this._kernel = null;
    this._sought = '';
    this._comm = null;
    this._refusal = null;
    if (kernel !== null) {
      kernel.statusChanged.disconnect(this._onStatus, this);
      kernel.connectionStatusChanged.disconnect(this._onConnection, this);
      kernel.disposed.disconnect(this._onGone, this);
      kernel.dispose();
    }
    return ++this._attempt;
  }

  private _set(state: Line): void {
    if (state !== this._state && !this._isDisposed) {
      this._state = state;
      this._changed.emit();
    }
  }

  private _attempt = 0;
  private _busyTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly _changed = new Signal<this, void>(this);
  private _comm: Kernel.IComm | null = null;
  private readonly _heard = new Signal<this, unknown>(this);
  private _isDisposed = false;
  private _kernel: Kernel.IKernelConnection | null = null;
  private _refusal: IRefusal | null = null;
  /** The id of a kernel that cannot be reached. */
  private _sought = '';
  private _state: Line = 'none';
}
