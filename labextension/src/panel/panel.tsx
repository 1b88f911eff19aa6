import type { CommandRegistry } from '@lumino/commands';
import type { ITranslator } from '@jupyterlab/translation';
import { PanelWithToolbar, ReactWidget, refreshIcon, SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';
import { AccordionPanel } from '@lumino/widgets';
import * as React from 'react';

import { CacheView } from './cache';
import { HeaderView } from './header';
import { qwen3ftIcon } from '../components/icons';
import { JobsView } from './jobs';
import type { PanelModel } from '../state/store';
import { ModelsView } from './models';
import { ActionButton } from '../components/button';
import { SERVER_MISSING } from '../api/request';
import type { ILanguage } from '../domain/words';

/** The sidebar panel: models to have, models on disk, and what runs. */
export class QwenPanel extends SidePanel {
  constructor(options: QwenPanel.IOptions) {
    super({ translator: options.translator });
    const { model, language, commands } = options;
    const { trans } = language;
    this._model = model;
    this.id = 'qwen3ft-panel';
    this.addClass('jp-Qwen3ft');
    this.title.icon = qwen3ftIcon;
    this.title.caption = trans.__('Qwen3: download, load and fine-tune');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Qwen3'));

    this.header.addWidget(new HeaderView(model, language));
    const models = section(trans.__('Models'), new ModelsView(model, language, commands));
    models.toolbar.addItem(
      'refresh',
      // Not a ToolbarButton: what that says to screen readers contradicts itself (aria-pressed on no toggle).
      ReactWidget.create(
        <ActionButton
          icon={refreshIcon}
          isIconOnly
          label={trans.__('Refresh')}
          onClick={() => void model.refresh()}
        />
      )
    );
    models.toolbar.node.setAttribute('aria-label', trans.__('Models toolbar'));
    this.addWidget(models);
    this.addWidget(section(trans.__('Cache'), new CacheView(model, language, commands)));
    this.addWidget(section(trans.__('Jobs'), new JobsView(model, language)));
    this._setSizes();
    model.stateChanged.connect(this._onStateChanged, this);
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._model.stateChanged.disconnect(this._onStateChanged, this);
    this._model.dispose();
    super.dispose();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    void this._model.refresh();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      void this._model.refresh();
    }
  }

  /** Without a server part there is nothing to list, only what to do about it. */
  private _onStateChanged(): void {
    this.content.setHidden(this._model.snapshot.problem?.code === SERVER_MISSING);
  }

  private _setSizes(): void {
    if (this.content instanceof AccordionPanel) {
      this.content.setRelativeSizes([5, 3, 3]);
    }
  }

  private readonly _model: PanelModel;
}

/** A namespace for `QwenPanel` statics. */
export namespace QwenPanel {
  /** What a panel is made of. */
  export interface IOptions {
    readonly model: PanelModel;
    readonly language: ILanguage;
    readonly commands: CommandRegistry;
    readonly translator?: ITranslator;
  }
}

function section(label: string, view: Widget): PanelWithToolbar {
  const panel = new PanelWithToolbar();
  panel.addClass('jp-Qwen3ft-scroller');
  panel.title.label = label;
  panel.addWidget(view);
  return panel;
}
