import type { SidePanel } from '@jupyterlab/ui-components';
import { PanelWithToolbar, refreshIcon } from '@jupyterlab/ui-components';
import { MessageLoop } from '@lumino/messaging';
import { AccordionPanel, Widget } from '@lumino/widgets';
import * as React from 'react';

import { SERVER_MISSING } from '../api/request';
import { ActionButton } from '../components/button';
import type { IApp } from '../components/context';
import { appWidget } from '../components/context';
import type { IFilter } from '../domain/filters';
import { parseFilter } from '../domain/filters';
import type { ISections } from '../domain/sections';
import { Cache } from './cache';
import { Header } from './header';
import { Jobs } from './jobs';
import { Models } from './models';
import { CheckButton } from './updates';

/** How the list of models was cut down, as it was kept, and who is told of it. */
interface IKeptFilter {
  readonly kept: unknown;
  readonly keep: (filter: IFilter) => void;
}

/**
 * Put the three lists into the panel; return what goes above them.
 *
 * @param kept - How the sections were left.
 * @param keep - Is told how they are, whenever somebody has changed that.
 * @param filter - How the list of models was cut down, and who is told of it.
 */
export function fillPanel(
  panel: SidePanel,
  app: IApp,
  kept: ISections,
  keep: (sections: ISections) => void,
  filter: IKeptFilter = { kept: null, keep: () => undefined }
): Widget {
  const { trans } = app;
  const models = section(
    trans.__('Models'),
    appWidget(app, <Models first={parseFilter(filter.kept)} keep={filter.keep} />, 'jp-Qwen3ft-section')
  );
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
  panel.addWidget(models);
  panel.addWidget(section(trans.__('Cache'), appWidget(app, <Cache />, 'jp-Qwen3ft-section')));
  panel.addWidget(section(trans.__('Jobs'), appWidget(app, <Jobs />, 'jp-Qwen3ft-section')));
  const layout = new Layout(panel, app, kept, keep);
  panel.disposed.connect(() => layout.dispose());
  return appWidget(app, <Header />, 'jp-Qwen3ft-header');
}

/** How the lists share the room, and whether they are to be kept up to date. */
class Layout {
  constructor(
    private readonly _panel: SidePanel,
    private readonly _app: IApp,
    kept: ISections,
    private readonly _keep: (sections: ISections) => void
  ) {
    this._restore(kept);
    this._fit();
    this._observer.observe(_panel.content.node);
    this._stopShowing = _app.store.showLists(() => !_panel.isVisible);
    if (_panel.content instanceof AccordionPanel) {
      _panel.content.handleMoved.connect(() => this._onMoved(), this);
      _panel.content.expansionToggled.connect(() => this._tell(), this);
    }
    this._stopListening = _app.store.subscribe(() => this._onChanged());
  }

  dispose(): void {
    this._observer.disconnect();
    this._stopShowing();
    this._stopListening();
  }

  private _restore({ folded, sizes }: ISections): void {
    const { content } = this._panel;
    if (content instanceof AccordionPanel) {
      folded.forEach((isFolded, index) => isFolded && content.collapse(index));
      this._isMoved = sizes.length > 0;
      this._left = sizes;
      this._share();
    }
  }

  /** Share the room as it was left, until somebody changes that: the room is known once the header is drawn. */
  private _share(): void {
    const { content } = this._panel;
    if (content instanceof AccordionPanel && this._left.length > 0) {
      content.setRelativeSizes([...this._left]);
    }
  }

  private _onMoved(): void {
    this._isMoved = true;
    this._tell();
  }

  private _tell(): void {
    this._left = [];
    const { content } = this._panel;
    if (content instanceof AccordionPanel) {
      const folded = content.widgets.map(each => each.isHidden);
      this._keep({ folded, sizes: this._isMoved ? content.relativeSizes() : [] });
    }
  }

  /** Without a server part there is nothing to list, only what to do about it. */
  private _onChanged(): void {
    this._panel.content.setHidden(this._app.store.snapshot.problem?.code === SERVER_MISSING);
    this._fit();
  }

  /** Give sections that have nothing to list little room, and leave it all as it is once somebody has moved a border. */
  private _fit(): void {
    const { cache, jobs } = this._app.store.snapshot;
    const { content } = this._panel;
    const sizes = [5, cache !== null && cache.models.length > 0 ? 3 : 1.6, jobs.length > 0 ? 3 : 1.1];
    if (content instanceof AccordionPanel && sizes.join() !== this._sizes.join() && !this._isMoved) {
      this._sizes = sizes;
      content.setRelativeSizes(sizes);
    }
  }

  private _isMoved = false;
  /** The header grows and shrinks with what it says, and takes room of the sections, which nobody else tells them. */
  private readonly _observer = new ResizeObserver(() => {
    MessageLoop.postMessage(this._panel.content, Widget.ResizeMessage.UnknownSize);
    this._share();
  });
  private _left: ReadonlyArray<number> = [];
  private _sizes: ReadonlyArray<number> = [];
  private readonly _stopListening: () => void;
  private readonly _stopShowing: () => void;
}

function section(label: string, view: Widget): PanelWithToolbar {
  const panel = new PanelWithToolbar();
  panel.addClass('jp-Qwen3ft-scroller');
  panel.title.label = label;
  panel.addWidget(view);
  return panel;
}
