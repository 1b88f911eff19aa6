import type { ITranslator } from '@jupyterlab/translation';
import { PanelWithToolbar, refreshIcon, SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { MessageLoop } from '@lumino/messaging';
import { AccordionPanel, Widget } from '@lumino/widgets';
import * as React from 'react';

import { SERVER_MISSING } from '../api/request';
import { ActionButton } from '../components/button';
import type { IApp } from '../components/context';
import { appWidget } from '../components/context';
import { qwen3ftIcon } from '../components/icons';
import type { Store } from '../state/store';
import { Cache } from './cache';
import { Header } from './header';
import { Jobs } from './jobs';
import { Models } from './models';
import { CheckButton } from './updates';

/** The sidebar panel: models to have, models on disk, and what runs. */
export class QwenPanel extends SidePanel {
  constructor(app: IApp, translator?: ITranslator) {
    super({ translator });
    const { trans } = app;
    this._store = app.store;
    this.id = 'qwen3ft-panel';
    this.addClass('jp-Qwen3ft');
    this.title.icon = qwen3ftIcon;
    this.title.caption = trans.__('Qwen3: download, load and fine-tune');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Qwen3'));

    this.header.addWidget(appWidget(app, <Header />, 'jp-Qwen3ft-header'));
    const models = section(trans.__('Models'), appWidget(app, <Models />, 'jp-Qwen3ft-section'));
    models.toolbar.addItem('updates', appWidget(app, <CheckButton />));
    models.toolbar.addItem(
      'refresh',
      // Not a ToolbarButton: what that says to screen readers contradicts itself (aria-pressed on no toggle).
      appWidget(
        app,
        <ActionButton
          icon={refreshIcon}
          isIconOnly
          label={trans.__('Refresh')}
          onClick={() => void app.store.refresh()}
        />
      )
    );
    models.toolbar.node.setAttribute('aria-label', trans.__('Models toolbar'));
    this.addWidget(models);
    this.addWidget(section(trans.__('Cache'), appWidget(app, <Cache />, 'jp-Qwen3ft-section')));
    this.addWidget(section(trans.__('Jobs'), appWidget(app, <Jobs />, 'jp-Qwen3ft-section')));
    this._fit();
    this._observer.observe(this.content.node);
    this._stopShowing = app.store.showLists(() => !this.isVisible);
    if (this.content instanceof AccordionPanel) {
      this.content.handleMoved.connect(() => (this._isMoved = true), this);
    }
    this._stopListening = app.store.subscribe(() => this._onChanged());
  }

  override dispose(): void {
    this._observer.disconnect();
    this._stopShowing();
    this._stopListening();
    super.dispose();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    void this._store.refresh();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      void this._store.refresh();
    }
  }

  /** Without a server part there is nothing to list, only what to do about it. */
  private _onChanged(): void {
    this.content.setHidden(this._store.snapshot.problem?.code === SERVER_MISSING);
    this._fit();
  }

  /** Give sections that have nothing to list little room, and leave it all as it is once somebody has moved a border. */
  private _fit(): void {
    const { cache, jobs } = this._store.snapshot;
    const sizes = [5, cache !== null && cache.models.length > 0 ? 3 : 1.6, jobs.length > 0 ? 3 : 1.1];
    if (this.content instanceof AccordionPanel && sizes.join() !== this._sizes.join() && !this._isMoved) {
      this._sizes = sizes;
      this.content.setRelativeSizes(sizes);
    }
  }

  private _isMoved = false;
  /** The header grows and shrinks with what it says, and takes room of the sections, which nobody else tells them. */
  private readonly _observer = new ResizeObserver(() =>
    MessageLoop.postMessage(this.content, Widget.ResizeMessage.UnknownSize)
  );
  private _sizes: ReadonlyArray<number> = [];
  private readonly _stopListening: () => void;
  private readonly _stopShowing: () => void;
  private readonly _store: Store;
}

function section(label: string, view: Widget): PanelWithToolbar {
  const panel = new PanelWithToolbar();
  panel.addClass('jp-Qwen3ft-scroller');
  panel.title.label = label;
  panel.addWidget(view);
  return panel;
}
