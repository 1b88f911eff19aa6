/** Views in the main area: one for each thing, loaded when it is first seen, and there again after a reload. */

import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import type { Widget } from '@lumino/widgets';
import { Panel, SplitPanel, TabPanel } from '@lumino/widgets';

import type { IApp } from '../components/context';
import { loaded } from '../components/loading';

/** What stays empty until somebody sees it: then the code of its content is loaded. */
class Lazy extends Panel {
  constructor(
    private readonly _app: IApp,
    private readonly _load: () => Promise<Widget>
  ) {
    super();
    this.addClass('jp-Qwen3ft-main');
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._fill();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._fill();
  }

  /** The first control, or what can be scrolled, has the focus of a view that somebody has just opened. */
  protected override onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    this.node.focus();
    this.widgets[0]?.activate();
  }

  private _fill(): void {
    if (this.isVisible && !this._isLoading && this.widgets.length === 0) {
      this._isLoading = true;
      void loaded(this._app, this._load, { onRetry: () => this._again() })
        .then(content => this._show(content))
        .finally(() => (this._isLoading = false));
    }
  }

  private _show(content: Widget): void {
    if (this.isDisposed) {
      content.dispose();
    } else {
      this.addWidget(content);
    }
  }

  private _again(): void {
    this.widgets[0]?.dispose();
    this._fill();
  }

  private _isLoading = false;
}

/** Less of the page than this shows no more than the titles of tabs. */
const LEAST_SHARE = 0.2;

/** Share the height of the page with what opens below: Notebook 7 gives that none until somebody drags its border. */
function giveRoom(tabs: TabPanel): void {
  const page = tabs.parent;
  if (page instanceof SplitPanel && page.relativeSizes()[page.widgets.indexOf(tabs)] < LEAST_SHARE) {
    page.setRelativeSizes(page.widgets.map(() => 1));
  }
}

/** The open views of one kind. */
export class MainViews<Args extends ReadonlyJSONObject> {
  /** @param _options - What a view is, and where it goes. */
  constructor(private readonly _options: MainViews.IOptions<Args>) {
    const { app, restorer, command, id } = _options;
    this._tracker = new WidgetTracker<MainAreaWidget<Panel>>({ namespace: id });
    void restorer?.restore(this._tracker, {
      command,
      args: widget => this._args.get(widget) ?? {},
      name: widget => widget.id
    });
    this._shell = app.shell;
  }

  /** Show the view of a thing: the one that is open, else a new one. */
  open(args: Args): MainAreaWidget<Panel> {
    const id = `${this._options.id}-${this._options.keyOf(args)}`;
    const found = this._tracker.find(widget => widget.id === id);
    const widget = found ?? this._make(id, args);
    if (!widget.isAttached) {
      this._shell.add(widget, 'main', { type: 'Qwen3' });
    }
    if (!widget.isAttached) {
      this._shell.add(widget, 'down', { type: 'Qwen3' }); // a page of Notebook 7 has one thing in its main area
    }
    this._shell.activateById(widget.id);
    const tabs = widget.parent?.parent;
    if (tabs instanceof TabPanel) {
      tabs.currentWidget = widget; // which Notebook 7 leaves as it is
      giveRoom(tabs);
    }
    return widget;
  }

  private _make(id: string, args: Args): MainAreaWidget<Panel> {
    const { app, load, title, icon } = this._options;
    const view: MainViews.IView<Args> = {
      setTitle: text => {
        widget.title.label = text;
        widget.title.caption = text;
        content.node.setAttribute('aria-label', text);
      },
      keep: kept => {
        this._args.set(widget, kept);
        void this._tracker.save(widget);
      }
    };
    const content = new Lazy(app.context, () => load(args, view));
    const widget = new MainAreaWidget<Panel>({ content });
    widget.id = id;
    widget.toolbar.hide(); // it would be an empty strip
    widget.title.icon = icon;
    widget.title.closable = true;
    content.node.setAttribute('role', 'region');
    view.setTitle(title(args));
    this._args.set(widget, args);
    widget.disposed.connect(() => this._options.onClose?.(this._args.get(widget) ?? args), this);
    void this._tracker.add(widget);
    return widget;
  }

  /** Of a view that is closed nothing is kept. */
  private readonly _args = new WeakMap<MainAreaWidget<Panel>, Args>();
  private readonly _shell: JupyterFrontEnd['shell'];
  private readonly _tracker: WidgetTracker<MainAreaWidget<Panel>>;
}

/** A namespace for `MainViews` statics. */
export namespace MainViews {
  /** What a view may do to its place. */
  export interface IView<Args> {
    readonly setTitle: (text: string) => void;
    /** Open it with other arguments after a reload of the page. */
    readonly keep: (args: Args) => void;
  }

  /** What a view is, and where it goes. */
  export interface IOptions<Args> {
    readonly app: { readonly shell: JupyterFrontEnd['shell']; readonly context: IApp };
    readonly restorer: ILayoutRestorer | null;
    /** The command that opens a view; it takes the arguments. */
    readonly command: string;
    /** What the ids of the widgets begin with. */
    readonly id: string;
    readonly icon: LabIcon;
    /** What tells one view from another. */
    readonly keyOf: (args: Args) => string;
    readonly title: (args: Args) => string;
    /** Makes the content; loads the code of it with `import()`. */
    readonly load: (args: Args, view: IView<Args>) => Promise<Widget>;
    /** Called with what was kept when a view is closed, also one that nobody has seen. */
    readonly onClose?: (args: Args) => void;
  }
}
