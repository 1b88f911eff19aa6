/** What the playground knows and does; what is shown follows from it. */

import type { Kernel } from '@jupyterlab/services';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';

import { json, text } from '../api/read';
import type { PlaygroundArgs } from './args';
import type { Form } from './form';
import { optionsOf, readForm, sidesOf } from './form';
import type { FindKernel } from './kernels';
import type { ITold, ITurn } from './protocol';
import { afterMessage, NOTHING } from './protocol';
import { KernelLine } from './session';
import type { ISnapshot } from './snapshot';
import { loadKey } from './snapshot';

/** So long a load may go on after it was stopped; the kernel looks at each tensor, but not while libraries are imported. */
const STOP_MS = 10_000;

/** What is typed is written down when nobody types on. */
const KEEP_DELAY_MS = 500;

function isAtWork({ phase }: ITold): boolean {
  return phase === 'answering' || phase === 'loading';
}

/** A conversation with a model in a kernel of its own. */
export class Playground implements IDisposable {
  /** @param _options - What it begins with, and what it uses. */
  constructor(private readonly _options: Playground.IOptions) {
    const { args, kernels } = _options;
    this._line = new KernelLine(kernels, _options.findKernel);
    this._label = args.label;
    this._snapshot = {
      line: 'none',
      refusal: null,
      told: NOTHING,
      model: args.model,
      adapter: args.adapter,
      spec: args.spec,
      loaded: args.kernel === '' ? '' : loadKey(args),
      form: readForm(args.form),
      isStopping: false,
      isEnded: false
    };
    this._line.changed.connect(this._onLine, this);
    this._line.heard.connect(this._onHeard, this);
    if (args.kernel !== '') {
      this._runningSpec = args.spec || _options.usualSpec();
      void this._line.connect(args.kernel);
    }
  }

  /** What is shown now; another object when it changed. */
  get snapshot(): ISnapshot {
    return this._snapshot;
  }

  get isDisposed(): boolean {
    return this._line.isDisposed;
  }

  /** Be told when the snapshot is another; gives what ends that. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };

  /** Choose what is loaded next. */
  choose(model: string, adapter: string): void {
    this._change({ model, adapter });
    this._keep();
  }

  /** Choose in which kernel it is loaded next. */
  chooseSpec(spec: string): void {
    this._change({ spec });
    this._keep();
  }

  /** Change how questions are asked. */
  fill(change: Partial<Form>): void {
    this._change({ form: { ...this._snapshot.form, ...change } });
    clearTimeout(this._keepTimer);
    this._keepTimer = setTimeout(() => this._keep(), KEEP_DELAY_MS);
  }

  /** Load what is chosen; with a kernel of its own, a new one where there is none, or one of another kind. */
  async load(): Promise<void> {
    const { line, told } = this._snapshot;
    const spec = this._snapshot.spec || this._options.usualSpec();
    if (line === 'starting' || told.phase === 'loading') {
      return;
    }
    this._change({ isEnded: false });
    const isSameSpec = spec === this._runningSpec;
    if (line === 'restarted' && isSameSpec ? !(await this._line.again()) : line !== 'open' || !isSameSpec) {
      const attempt = ++this._attempt;
      const isGone = await this._line.shutdown();
      if (!isGone || attempt !== this._attempt) {
        return; // the one before still holds its memory, or somebody thought better of it
      }
      this._runningSpec = spec;
      const isStarted = await this._line.start(spec);
      this._keep();
      if (!isStarted) {
        return;
      }
    }
    const { model, adapter } = this._snapshot;
    this._change({ loaded: loadKey(this._snapshot) });
    this._label = this._options.labelOf({ model, adapter });
    this._options.setTitle(this._label);
    this._keep();
    if (this._owed.length > 0) {
      this._line.send({ do: 'restore', turns: this._owed });
    }
    this._line.send({ do: 'load', model, adapter, locale: this._options.locale });
  }

  /** Ask a question. */
  ask(question: string): void {
    this._answer('ask', { question });
  }

  /** Answer the last question anew. */
  again(): void {
    this._answer('again', {});
  }

  /** End the answer where it is. */
  stop(): void {
    this._change({ isStopping: true });
    this._line.send({ do: 'stop' });
  }

  /** End a load, and only with a kernel that does not heed that the kernel, too. */
  async stopLoad(): Promise<void> {
    if (this._snapshot.told.phase !== 'loading') {
      await this.shutdown(); // nothing is loaded yet
      return;
    }
    this.stop();
    clearTimeout(this._stopTimer);
    await new Promise(resolve => {
      this._stopTimer = setTimeout(resolve, this._options.stopMs ?? STOP_MS);
    });
    if (this._snapshot.isStopping && this._snapshot.told.phase === 'loading') {
      const ending = this.shutdown();
      const attempt = this._attempt;
      // What is loaded meanwhile has a kernel of its own, of which this says nothing.
      if ((await ending) && attempt === this._attempt) {
        this._change({ isEnded: true });
      }
    }
  }

  /** Begin another conversation. */
  clear(): void {
    this._owed = [];
    if (this._snapshot.line === 'open') {
      this._line.send({ do: 'clear' });
    } else {
      this._hear({ ...this._snapshot.told, turns: [] });
    }
  }

  /** Have the code that asks the same; it comes to `onCode`. */
  writeCode(): void {
    this._line.send({ do: 'code' });
  }

  /** End the kernel, and give back what it holds; what was said stays. Tell whether the kernel is gone. */
  async shutdown(): Promise<boolean> {
    this._attempt++;
    this._forgetModel();
    const isGone = await this._line.shutdown();
    this._keep();
    return isGone;
  }

  /** Use again a kernel that another page took, or that was busy or out of reach. */
  reconnect(): void {
    void this._line.again();
  }

  /** End what somebody else runs in the kernel, and go on. */
  async interrupt(): Promise<void> {
    await this._line.interrupt();
    await this._line.again();
  }

  dispose(): void {
    clearTimeout(this._keepTimer);
    clearTimeout(this._stopTimer);
    this._line.dispose();
    this._listeners.clear();
  }

  private _answer(what: 'ask' | 'again', given: ReadonlyJSONObject): void {
    const { form } = this._snapshot;
    this._keep();
    this._line.send({
      do: what,
      ...given,
      system: form.system,
      sides: [...sidesOf(form)],
      options: optionsOf(form)
    });
  }

  private _onLine(): void {
    const { state, refusal } = this._line;
    this._change({ line: state, refusal });
    if (state === 'restarted' || state === 'dead') {
      this._forgetModel();
    }
    if (['open', 'starting', 'taken'].includes(state) && this._line.kernelId !== '') {
      this._keep(); // also while it starts: a tab that is closed then ends it, a page that is reloaded finds it
    }
  }

  private _onHeard(_: unknown, message: unknown): void {
    const { type, code } = json(message);
    if (type === 'code') {
      this._options.onCode(text(code));
      return;
    }
    const told = afterMessage(this._snapshot.told, message);
    this._owed = told.turns.length > 0 ? [] : this._owed;
    this._hear(this._owed.length > 0 ? { ...told, turns: this._owed } : told);
  }

  private _hear(told: ITold): void {
    this._change({ told, isStopping: this._snapshot.isStopping && isAtWork(told) });
  }

  private _forgetModel(): void {
    this._owed = this._snapshot.told.turns;
    this._hear({ ...this._snapshot.told, phase: 'empty', progress: null, model: null, error: null });
  }

  private _change(change: Partial<ISnapshot>): void {
    this._snapshot = { ...this._snapshot, ...change };
    this._listeners.forEach(listener => listener());
  }

  private _keep(): void {
    const { model, adapter, spec, form } = this._snapshot;
    const { args, keep } = this._options;
    // One that another window took is no longer ours to end when this tab is closed.
    const kernel = this._line.state === 'taken' ? '' : this._line.kernelId;
    keep({ key: args.key, label: this._label, model, adapter, spec, form, kernel });
  }

  private _attempt = 0;
  private _keepTimer: ReturnType<typeof setTimeout> | undefined;
  private _label: string;
  private readonly _line: KernelLine;
  private readonly _listeners = new Set<() => void>();
  /** What was said in a kernel that is gone; the next one is told when it loads. */
  private _owed: ReadonlyArray<ITurn> = [];
  private _runningSpec = '';
  private _snapshot: ISnapshot;
  private _stopTimer: ReturnType<typeof setTimeout> | undefined;
}

/** A namespace for `Playground` statics. */
export namespace Playground {
  /** What it begins with, and what it uses. */
  export interface IOptions {
    readonly args: PlaygroundArgs;
    readonly kernels: Kernel.IManager;
    readonly findKernel: FindKernel;
    /** Milliseconds that a load may go on after it was stopped. */
    readonly stopMs?: number;
    /** The language of what is said. */
    readonly locale: string;
    /** The kind of kernel that is taken where none is chosen. */
    readonly usualSpec: () => string;
    /** Open it with these after a reload of the page. */
    readonly keep: (args: PlaygroundArgs) => void;
    /** Show what is talked to now. */
    readonly setTitle: (label: string) => void;
    /** What people call a model or a fine-tune. */
    readonly labelOf: (chosen: { readonly model: string; readonly adapter: string }) => string;
    /** Put code into a notebook. */
    readonly onCode: (code: string) => void;
  }
}
