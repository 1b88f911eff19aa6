import type { ITranslator } from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';

import type { IApp } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import { loaded } from '../components/loading';

/** The sidebar panel: models to have, models on disk, and what runs. What is in it is loaded when it is first seen. */
export class QwenPanel extends SidePanel {
  constructor(
    private readonly _app: IApp,
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
    const load = async () => (await import('./contents')).fillPanel(this, this._app);
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

  private _isFilled = false;
}
