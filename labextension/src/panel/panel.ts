import type { ITranslator } from '@jupyterlab/translation';
import type { IStateDB } from '@jupyterlab/statedb';
import { SidePanel } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';

import type { IApp } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import { loaded } from '../components/loading';
import { parseSections } from '../domain/sections';

/** Where JupyterLab keeps how the sections are, for each workspace. */
const SECTIONS = 'qwen3ft-jupyter:sections';

/** Where it keeps how the list of models is cut down. */
const FILTER = 'qwen3ft-jupyter:filter';

/** The sidebar panel: models to have, models on disk, and what runs. What is in it is loaded when it is first seen. */
export class QwenPanel extends SidePanel {
  constructor(
    private readonly _app: IApp,
    private readonly _state: IStateDB | null,
    translator?: ITranslator
  ) {
    super({ translator });
    const { trans } = _app;
    this.id = 'qwen3ft-panel';
    this.addClass('jp-Qwen3ft');
    this.title.icon = qwen3ftIcon;
    this.title.caption = trans.__('Qwen3: download, load and fine-tune');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Qwen3'));
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._look();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      this._look();
    }
  }

  private _look(): void {
    if (this._isFilled) {
      void this._app.store.refresh();
    } else {
      this._isFilled = true;
      void this._fill();
    }
  }

  private async _fill(): Promise<void> {
    const load = async () => {
      // Before the first drawing: what is drawn does not jump.
      const [{ fillPanel }, sections, filter] = await Promise.all([
        import('./contents'),
        this._fetchKept(SECTIONS),
        this._fetchKept(FILTER)
      ]);
      return fillPanel(
        this,
        this._app,
        parseSections(sections),
        now => void this._keep(SECTIONS, { ...now }),
        {
          kept: filter,
          keep: now => void this._keep(FILTER, { ...now })
        }
      );
    };
    const top = await loaded(this._app, load, {
      onRetry: () => {
        this.header.widgets[0]?.dispose();
        void this._fill();
      }
    });
    if (this.isDisposed) {
      top.dispose();
      return;
    }
    this.header.addWidget(top);
    void this._app.store.refresh(); // what is asked for depends on what is shown
  }

  /** What was left on the last page of this workspace. */
  private async _fetchKept(key: string): Promise<unknown> {
    return this._state?.fetch(key).catch(() => null);
  }

  private async _keep(key: string, value: ReadonlyPartialJSONObject): Promise<void> {
    // What cannot be kept is as it is at first on the next page.
    await this._state?.save(key, value).catch(() => undefined);
  }

  private _isFilled = false;
}
