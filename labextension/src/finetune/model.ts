/** One form: what is filled in, and what the server says of it. */

import type { IJob, IProblem } from '../api/answers';
import type { FineTuneClient, IChange, IChecked, IFieldProblem, IPlan, IPreview } from '../api/finetune';
import type { Json } from '../api/read';
import { isActive } from '../domain/jobs';
import type { Store } from '../state/store';
import { countHere } from './arrivals';
import type { IDraft, Value } from './draft';
import { fromConfig, toConfig, without, withValues } from './draft';
import type { IField } from './fields';
import { fieldOf, readFields } from './fields';
import { CHECK_DELAY_MS, Latest, PLAN_DELAY_MS, PREVIEW_DELAY_MS } from './latest';
import { ofPreview } from './previewed';

/** Samples that a preview shows. */
const SAMPLES = 8;

/** What a form is, and what its view draws. */
export class FineTuneModel {
  constructor(private readonly _options: FineTuneModel.IOptions) {
    this._draft = _options.draft;
    this._stopListening = _options.store.subscribe(() => this._onStore());
  }

  /** What is wrong, and what holds where nothing is filled in. */
  readonly checked = new Latest<IChecked>(() => this._emit());
  /** What the fine-tune would be. */
  readonly plan = new Latest<IPlan>(() => this._emit());
  /** Its data as the model will see it. */
  readonly preview = new Latest<IPreview>(() => this._emit());
  /** The job that is being started. */
  readonly starting = new Latest<IJob>(() => this._emit());
  /** The fields there are. */
  readonly schema = new Latest<ReadonlyArray<IField>>(() => this._emit());

  /** Whether the file of the draft was written from here, on this page. */
  hasSaved = false;

  /** Whether the plan was, or is being, found out as closely as can be. */
  isPlanClose = false;

  /** Counts what changed, for `useSyncExternalStore`. */
  get version(): number {
    return this._version;
  }

  /** Be told of every change, until what is returned is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };

  get draft(): IDraft {
    return this._draft;
  }

  get fields(): ReadonlyArray<IField> {
    return this.schema.value ?? [];
  }

  /** The config as it is filled in. */
  get config(): Json {
    return toConfig(this._draft, this.fields);
  }

  /** The files and data sets. */
  get data(): ReadonlyArray<string> {
    const value = this._draft.values.data;
    return Array.isArray(value) ? value : [];
  }

  /** What is filled in, as text. */
  text(name: string): string {
    const value = this._draft.values[name];
    return typeof value === 'string' ? value : '';
  }

  /** Whether the plan is about what is filled in now. */
  get isPlanFresh(): boolean {
    return this.plan.isFresh && this._planned === JSON.stringify(this.config);
  }

  /** Why there is no plan; that the folder of the job at work is taken is none. */
  get planProblem(): IProblem | null {
    const { problem } = this.plan;
    return problem !== null && this.isRunning && fieldOf(problem) === 'output_dir' ? null : problem;
  }

  /** Whether the preview is about what is filled in now. */
  get isPreviewFresh(): boolean {
    return this.preview.isFresh && this._previewed === this._previewKey;
  }

  /** What is wrong: of what nobody has filled in yet only once it was to be started. */
  get problems(): ReadonlyArray<IFieldProblem> {
    const found = this.checked.value?.problems ?? [];
    return this._isStrict ? found : found.filter(each => !each.fields.every(name => this._isUntouched(name)));
  }

  /** All that is wrong with a field, as sentences; its name stands beside it already. */
  problemsOf(name: string): ReadonlyArray<string> {
    const problem = this.planProblem;
    return [
      ...this.problems.filter(each => each.fields.includes(name)),
      ...(problem !== null && !this.plan.isBusy && fieldOf(problem) === name ? [problem] : [])
    ].map(each => each.message.replace(/^[\w.]+(: |：)/, ''));
  }

  /** The job that was started from here, null for none, or one that is forgotten. */
  get job(): IJob | null {
    const { jobId } = this._draft;
    const { snapshot } = this._options.store;
    const started = this.starting.value;
    const known = snapshot.jobs.find(each => each.id === jobId);
    return known ?? (started !== null && started.id === jobId ? started : null);
  }

  /** Whether that one is at work: a second one would take its GPU. */
  get isRunning(): boolean {
    return this.job !== null && isActive(this.job);
  }

  /** Ask for the fields, then about what is filled in; also after something went wrong. */
  load(): void {
    if (this.schema.value !== null) {
      this._ask();
      return;
    }
    this.schema.ask(async () => {
      const fields = readFields(await this._options.client.schema());
      setTimeout(() => this._ask()); // once they are known
      return fields;
    });
  }

  /** Fill in fields; null takes one back to its default. */
  set(changes: Readonly<Record<string, Value | null>>): void {
    this._draft = withValues(this._draft, changes);
    this._onDraft();
  }

  /** Take the fields with which a run fits. */
  apply(change: IChange): void {
    const { values } = fromConfig(change.fields, this.fields, '');
    this.set(values);
  }

  /** Add files or data sets; those that are there already are not added again. */
  addData(names: ReadonlyArray<string>): void {
    this.set({ data: [...new Set([...this.data, ...names])] });
  }

  /** Drop a field that nobody knows. */
  dropUnknown(name: string): void {
    this._draft = { ...this._draft, rest: without(this._draft.rest, name) };
    this._onDraft();
  }

  /** Remember the file that it was saved to. */
  savedTo(path: string): void {
    this.hasSaved = true;
    this._draft = { ...this._draft, path };
    this._keep();
  }

  /** Estimate, also if that was stopped; or count what can be counted, and try a step without weights. */
  estimate(isClose: boolean): void {
    this._askPlan(this.config, isClose, 0);
  }

  /** Show the data, also if it was stopped or went wrong. */
  look(): void {
    this._askPreview(this.config, 0);
  }

  /** Start it; all that is missing is told from now on. */
  start(): void {
    this._isStrict = true;
    if (this.problems.length > 0 || this.isRunning) {
      this._emit();
      return;
    }
    this.plan.stop(); // the folder it would name by the second may be that of the job
    this.starting.ask(async signal => {
      // Asked about again when this has been answered.
      const job = await this._options.client.start(this.config, signal).finally(() => this._ask());
      this._draft = { ...this._draft, jobId: job.id };
      this._keep();
      void this._options.store.refresh();
      return job;
    });
  }

  dispose(): void {
    this._stopListening();
    this._listeners.clear();
    [this.checked, this.plan, this.preview, this.starting, this.schema].forEach(each => each.stop());
  }

  private _isUntouched(name: string): boolean {
    return this._draft.values[name] === undefined && this._draft.rest[name.split('.')[0]] === undefined;
  }

  private _onDraft(): void {
    this._keep();
    this._ask();
  }

  private _keep(): void {
    this._options.onDraft(this._draft);
    this._emit();
  }

  private _ask(): void {
    if (this.schema.value === null) {
      return;
    }
    const { config } = this;
    this.checked.ask(async signal => {
      const checked = await this._options.client.check(config, {}, signal);
      if (!signal.aborted) {
        this._onChecked(checked, config);
      }
      return checked;
    }, CHECK_DELAY_MS);
  }

  private _onChecked(checked: IChecked, config: Json): void {
    const shown = { ...ofPreview(checked.defaults), ...ofPreview(config) };
    this._previewKey = JSON.stringify([shown, this._here, checked.absent]);
    if (checked.problems.length > 0 || this.starting.isBusy) {
      this.plan.stop();
      this.preview.stop();
      return;
    }
    if (this._planned !== JSON.stringify(config) || !this.plan.isFresh) {
      this._askPlan(config, false, PLAN_DELAY_MS);
    }
    if (this._previewed !== this._previewKey) {
      this._askPreview(config, PREVIEW_DELAY_MS);
    }
  }

  private _askPlan(config: Json, isClose: boolean, delayMs: number): void {
    this._planned = JSON.stringify(config);
    this.isPlanClose = isClose;
    this.plan.ask(signal => this._options.client.plan(config, !isClose, signal), delayMs);
  }

  private _askPreview(config: Json, delayMs: number): void {
    this._previewed = this._previewKey;
    this.preview.ask(signal => this._options.client.preview(config, SAMPLES, signal), delayMs);
  }

  /** A model that has arrived can write the data, data that has can be written. */
  private get _here(): number {
    return countHere(this._options.store, this.text('model'), this.checked.value?.absent ?? []);
  }

  private _onStore(): void {
    const before = this._before;
    const isDown = this._options.store.snapshot.problem !== null;
    this._before = { isDown, here: this._here, isRunning: this.isRunning };
    const hasArrived = this._before.here > before.here && this.checked.value !== null;
    this._planned = hasArrived ? '' : this._planned; // only now it is known what the model needs
    if ((before.isDown && !isDown) || (before.isRunning && !this.isRunning) || hasArrived) {
      this.load();
    }
    this._emit();
  }

  private _emit(): void {
    this._version += 1;
    this._listeners.forEach(each => each());
  }

  private _before = { isDown: false, here: 0, isRunning: false };
  private _draft: IDraft;
  private _isStrict = false;
  private readonly _listeners = new Set<() => void>();
  private _planned = '';
  private _previewKey = '';
  private _previewed = '';
  private readonly _stopListening: () => void;
  private _version = 0;
}

/** A namespace for `FineTuneModel` statics. */
export namespace FineTuneModel {
  /** What a form is made of. */
  export interface IOptions {
    readonly client: FineTuneClient;
    readonly store: Store;
    readonly draft: IDraft;
    /** Keeps what is filled in. */
    readonly onDraft: (draft: IDraft) => void;
  }
}
