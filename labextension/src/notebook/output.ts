/** The live output of a job in a notebook; it survives a page reload and the end of the kernel. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';

import type { IApp } from '../components/context';
import { Sight } from '../components/sight';
import type { JobWatch } from '../state/watch';
import { jobIdOf } from './place';

/** Between two questions for a job that the server did not show: its saved form may be renewed far more often. */
const ASK_AGAIN_MS = 10_000;

/** Renders a job live from the server, or what the notebook saved of it until, and where, the server does not know it. */
export class JobOutput extends Panel implements IRenderMime.IRenderer {
  /**
   * @param _app - Where the job is found.
   * @param _rendermime - What shows the saved form.
   * @param _onShown - Called with the job's id when the output first shows it.
   */
  constructor(
    private readonly _app: IApp,
    private readonly _rendermime: IRenderMimeRegistry,
    private readonly _onShown: (output: JobOutput, id: string) => void = () => undefined
  ) {
    super();
    this.addClass('jp-Qwen3ft-output');
    this._sight = new Sight(this.node, () => this._catchUp());
  }

  /** Show the job that a bundle names. Called again at each update of the bundle. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const id = jobIdOf(model.data);
    const isKnown = id !== '' && id === this._watch?.id;
    if (isKnown && this._isLive) {
      return; // what the kernel side updates is the saved form; the live one comes from the server
    }
    if (!isKnown) {
      this._watch?.dispose();
      this._watch = null;
      this._isLive = false;
    }
    await this._showSaved(model); // the server may be slow, or gone
    if (!isKnown) {
      this._onShown(this, id);
    } else if (Date.now() - this._askedAt < ASK_AGAIN_MS) {
      return;
    }
    await this._showLive(id);
  }

  /** Show the job as the server has it; leave what is shown where it has none. */
  private async _showLive(id: string): Promise<void> {
    this._watch?.dispose();
    const watch = this._app.store.watch(id, () => !this.isVisible || !this._sight.isSeen);
    this._watch = watch;
    this._askedAt = Date.now();
    await watch.refresh();
    // The code of a page that is older than the server's files cannot be had: the saved form stays.
    const live = watch.job === null ? null : await import('./live').catch(() => null);
    if (watch.isDisposed) {
      return;
    }
    if (live === null) {
      watch.dispose();
      return;
    }
    this._isLive = true;
    this._clear();
    this.addWidget(live.liveWidget(this._app, watch));
  }

  override dispose(): void {
    this._sight.dispose();
    this._watch?.dispose();
    super.dispose();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._catchUp();
  }

  /** Look at once at a job that may have moved on while nobody saw it. */
  private _catchUp(): void {
    const watch = this._watch;
    if (watch !== null && !watch.isDisposed && !watch.isHidden() && (!watch.isOver || watch.isBehind)) {
      void watch.refresh();
    }
  }

  /** Show the saved form with JupyterLab's own renderer, as untrusted: it sanitises and runs nothing. */
  private async _showSaved(model: IRenderMime.IMimeModel): Promise<void> {
    const mimeType = ['text/html', 'text/plain'].find(
      each => each in model.data && this._rendermime.mimeTypes.includes(each)
    );
    if (mimeType !== undefined) {
      const renderer = this._rendermime.createRenderer(mimeType);
      const data = { [mimeType]: model.data[mimeType] };
      await renderer.renderModel(this._rendermime.createModel({ data, trusted: false }));
      if (this.isDisposed || this._isLive) {
        renderer.dispose(); // the server was faster
        return;
      }
      this._clear();
      this.addWidget(renderer);
    }
  }

  private _clear(): void {
    for (const widget of [...this.widgets]) {
      widget.dispose();
    }
  }

  /** Whether the server's view of the job is shown. */
  private _isLive = false;
  private readonly _sight: Sight;
  private _watch: JobWatch | null = null;
  private _askedAt = 0;
}
