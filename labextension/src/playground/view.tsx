/** The playground: talk to a model, or to a fine-tune beside what it began with. */

import { Notification } from '@jupyterlab/apputils';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { ServiceManager } from '@jupyterlab/services';
import { KernelAPI } from '@jupyterlab/services';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { ActionButton } from '../components/button';
import type { IApp } from '../components/context';
import { inApp, useApp } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { CommandIDs } from '../domain/commands';
import type { PlaygroundArgs } from './args';
import { labelOf, tunedChoices } from './choices';
import { Composer, ConversationTools } from './composer';
import type { IPlayground } from './context';
import { PlaygroundProvider, useSnapshot } from './context';
import { Loader, usualSpec } from './loader';
import { fetchingNothing } from './markup';
import { Playground } from './model';
import { Notices } from './notices';
import { SIDES } from './protocol';
import { Settings } from './settings';
import { sideName, TurnView } from './turn';
import { inARow } from '../domain/words';

/** From this width on, in pixels, the settings are open when a playground is first seen. */
const WIDE = 760;

/** What the view is made of. */
export interface IViewOptions {
  readonly context: IApp;
  readonly services: ServiceManager.IManager;
  readonly rendermime: IRenderMimeRegistry;
  readonly args: PlaygroundArgs;
  readonly keep: (args: PlaygroundArgs) => void;
  readonly setTitle: (label: string) => void;
}

/** Make the view. */
export async function openPlayground(options: IViewOptions): Promise<ReactWidget> {
  const { context, services, rendermime, args, keep, setTitle } = options;
  const { kernelspecs } = services;
  await kernelspecs.ready.catch(() => undefined); // without any, a load says so
  const playground = new Playground({
    args,
    kernels: services.kernels,
    findKernel: id => KernelAPI.getKernelModel(id, services.serverSettings),
    locale: context.locale,
    usualSpec: () => usualSpec(kernelspecs),
    keep,
    setTitle,
    labelOf: chosen => labelOf(chosen, tunedChoices(context.store.snapshot.jobs)),
    onCode: code => void insertCode(context, code)
  });
  const strict = rendermime.clone({ sanitizer: fetchingNothing(rendermime.sanitizer) });
  return new PlaygroundView(context, { playground, rendermime: strict, specs: kernelspecs });
}

async function insertCode({ commands, trans }: IApp, code: string): Promise<void> {
  if (commands.hasCommand(CommandIDs.insertCode)) {
    await commands.execute(CommandIDs.insertCode, { source: code });
  } else {
    Notification.warning(trans.__('The commands that write into notebooks are switched off.'));
  }
}

class PlaygroundView extends ReactWidget {
  constructor(
    private readonly _app: IApp,
    private readonly _given: IPlayground
  ) {
    super();
    this.addClass('jp-Qwen3ft-playground');
    this._stopShowing = _app.store.showLists(() => !this.isVisible);
  }

  override dispose(): void {
    this._stopShowing();
    this._given.playground.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    return inApp(
      this._app,
      <PlaygroundProvider value={this._given}>
        <Page width={this.node.clientWidth} />
      </PlaygroundProvider>
    );
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    void this._app.store.refresh();
  }

  /** Whoever opens it writes, or has to choose a model first. */
  protected override onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    const { told, line, model } = this._given.playground.snapshot;
    const isBusy = told.phase === 'loading' || line === 'starting';
    const selector =
      told.model || isBusy ? 'form textarea' : model === '' ? 'select' : '.jp-Qwen3ft-playHead button';
    this.node.querySelector<HTMLElement>(selector)?.focus();
  }

  private readonly _stopShowing: () => void;
}

function Page({ width }: { readonly width: number }): JSX.Element {
  const { trans } = useApp();
  const [isOpen, setOpen] = React.useState(width >= WIDE);
  const settingsId = React.useId();
  return (
    <FocusKeeper>
      <div className={`jp-Qwen3ft-play${isOpen ? ' jp-mod-settings' : ''}`}>
        <div className="jp-Qwen3ft-playHead">
          <Loader />
          <Facts />
          <Notices />
        </div>
        <Conversation />
        <div className="jp-Qwen3ft-playFoot">
          <div className="jp-Qwen3ft-playTools">
            <ConversationTools />
            <ActionButton
              label={trans.__('Settings')}
              isExpanded={isOpen}
              look="link"
              onClick={() => setOpen(!isOpen)}
            />
          </div>
          <Composer />
        </div>
        {isOpen && <Settings id={settingsId} />}
      </div>
      <Announcer />
    </FocusKeeper>
  );
}

/** What is loaded, and where. */
function Facts(): JSX.Element | null {
  const { trans } = useApp();
  const { told } = useSnapshot();
  return (
    told.model && (
      <div className="jp-Qwen3ft-meta">
        {trans.__('Loaded: %1 on %2', told.model.dtype, told.model.device)}
      </div>
    )
  );
}

/** So near its end, in pixels, what is read moves on with what is written. */
const NEAR_END = 48;

function Conversation(): JSX.Element {
  const { trans } = useApp();
  const { told } = useSnapshot();
  const box = React.useRef<HTMLDivElement>(null);
  const isAtEnd = React.useRef(true);
  React.useEffect(() => {
    const node = box.current;
    const list = node?.firstElementChild;
    if (!node || !list) {
      return;
    }
    // Markdown is drawn after the component.
    const observer = new ResizeObserver(() => {
      if (isAtEnd.current) {
        node.scrollTop = node.scrollHeight;
      }
    });
    observer.observe(list);
    return () => observer.disconnect();
  }, []);
  React.useEffect(() => {
    isAtEnd.current = true; // who asks wants to see the answer
  }, [told.turns.length]);
  return (
    <div
      ref={box}
      className="jp-Qwen3ft-conversation"
      tabIndex={0}
      role="region"
      aria-label={trans.__('Conversation')}
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        isAtEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
      }}
    >
      <ol className="jp-Qwen3ft-turns">
        {told.turns.map((turn, index) => (
          <TurnView key={index} turn={turn} hasAdapter={told.model?.hasAdapter ?? false} />
        ))}
        {told.turns.length === 0 && told.phase !== 'loading' && (
          <li className="jp-Qwen3ft-empty">
            {told.model
              ? trans.__('Ask the first question below.')
              : trans.__(
                  'Choose a model and load it: it gets a kernel of its own, which ends with this tab.'
                )}
          </li>
        )}
      </ol>
    </div>
  );
}

/** Says to screen readers when an answer has ended; each word of it would be too much. */
function Announcer(): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const { told } = useSnapshot();
  const last = told.turns[told.turns.length - 1];
  const ended = SIDES.filter(side => last?.replies[side]?.end);
  const isOver = told.phase === 'ready' && last !== undefined && ended.length > 0;
  const words = ended.map(side =>
    trans.__(
      '%1 has ended: %2',
      sideName(side, ended.length > 1, app),
      trans._n('%1 token', '%1 tokens', last?.replies[side]?.tokens ?? 0)
    )
  );
  const loaded = told.phase === 'ready' && told.turns.length === 0 ? trans.__('The model is loaded.') : '';
  return (
    <div className="jp-Qwen3ft-announcer" role="status">
      {isOver ? inARow(...words) : loaded}
    </div>
  );
}
