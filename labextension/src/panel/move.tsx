import { Dialog } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ICache, IProblem } from '../api/answers';
import type { IMovePlan } from '../api/cache';
import { Alert, ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import type { IApp } from '../components/context';
import { inApp, useApp, usePending, useStore } from '../components/context';
import { isAccepted } from '../components/dialog';
import { Pairs } from '../components/pairs';
import { RunningJob } from '../components/progress';
import { formatBytes } from '../domain/format';
import { movedTo, movePairs, movingOf } from '../domain/moving';
import { Actions } from '../state/actions';

/** What names the refusal for the field. */
const REFUSAL = 'jp-Qwen3ft-move-refusal';

/** What a new place may look like, in every language. */
const EXAMPLE = '~/models';

/** The button that moves the whole cache, or the move that is under way. */
export function Move({ cache }: { readonly cache: ICache }): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const job = useStore(({ snapshot }) => movingOf(snapshot.jobs));
  const isPending = usePending(Actions.MOVE);
  if (job !== null) {
    return <RunningJob job={job} />;
  }
  return (
    <ActionButton
      label={trans.__('Move the cache…')}
      description={trans.__('Move the cache… to another folder; first shows what that does')}
      isBusy={isPending}
      onClick={() => void moveCache(app, cache)}
    />
  );
}

/** What is left to do after a move: this server looks where the cache was. */
export function Moved({ cache }: { readonly cache: ICache }): JSX.Element | null {
  const { trans } = useApp();
  const target = useStore(({ snapshot }) => movedTo(snapshot.jobs, cache));
  if (target === '') {
    return null;
  }
  return (
    <Alert look="warning" title={trans.__('The cache has moved')}>
      <p>{trans.__('Set MODEL_CACHE_DIR to its new folder, and restart JupyterLab:')}</p>
      <p>
        <code>{target}</code>
      </p>
    </Alert>
  );
}

/** Ask for the new place, show what the move does, and start it if that is wanted. */
async function moveCache(app: IApp, cache: ICache): Promise<void> {
  const { actions } = app.store;
  let problem: IProblem | null = null;
  for (let folder = ''; ;) {
    const given: string | null = await askFolder(app, cache, folder, problem);
    if (given === null) {
      return;
    }
    folder = given;
    const plan: IMovePlan | null = await actions.planMove(folder);
    if (plan !== null) {
      if (await isWanted(app, plan)) {
        await actions.move(plan.target);
      }
      return;
    }
    // It is told where the folder can be given anew, not above the lists.
    problem = actions.problemOf(Actions.MOVE);
    actions.dismissProblem();
  }
}

async function askFolder(
  app: IApp,
  cache: ICache,
  folder: string,
  problem: IProblem | null
): Promise<string | null> {
  const { trans } = app;
  const title = trans.__('Move the cache');
  const dialog = new Dialog<string>({
    title,
    body: new FolderField(app, cache, folder, problem),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Show what happens') })
    ],
    focusNodeSelector: 'input'
  });
  dialog.node.ariaLabel = title;
  const { button, value } = await dialog.launch();
  return button.accept ? (value ?? '') : null;
}

/** The field for the new place, with why the one before was refused. */
class FolderField extends ReactWidget implements Dialog.IBodyWidget<string> {
  constructor(
    private readonly _app: IApp,
    private readonly _cache: ICache,
    private _folder: string,
    private readonly _problem: IProblem | null
  ) {
    super();
    this.addClass('jp-Qwen3ft-move');
  }

  getValue(): string {
    return this._folder.trim();
  }

  protected override render(): React.ReactElement {
    const { trans } = this._app;
    return inApp(
      this._app,
      <>
        <p>
          {trans.__('All models and data sets of this cache go to another folder. They are in:')}
          <br />
          <code>{this._cache.cache_dir}</code>
        </p>
        <label>
          {trans.__('New folder, with its whole path')}
          <input
            type="text"
            className="jp-mod-styled"
            defaultValue={this._folder}
            placeholder={EXAMPLE}
            spellCheck={false}
            autoComplete="off"
            aria-invalid={this._problem !== null || undefined}
            aria-describedby={this._problem === null ? undefined : REFUSAL}
            onChange={event => (this._folder = event.target.value)}
          />
        </label>
        {this._problem && (
          <div id={REFUSAL}>
            <ProblemAlert problem={this._problem} />
          </div>
        )}
      </>
    );
  }
}

async function isWanted(app: IApp, plan: IMovePlan): Promise<boolean> {
  const { trans } = app;
  const isPossible = plan.missing_bytes === 0 && plan.folders.length > 0;
  return isAccepted({
    title: trans.__('Move the cache'),
    body: inApp(app, <MoveView plan={plan} />),
    buttons: isPossible
      ? [Dialog.cancelButton({ label: trans.__('Cancel') }), Dialog.warnButton({ label: trans.__('Move') })]
      : [Dialog.cancelButton({ label: trans.__('Close') })],
    defaultButton: 0
  });
}

/** What a move would do, what stands in its way, and what is left to do afterwards. */
function MoveView({ plan }: { readonly plan: IMovePlan }): JSX.Element {
  const app = useApp();
  const { trans, locale } = app;
  return (
    <div className="jp-Qwen3ft-plan">
      {plan.missing_bytes > 0 && (
        <Alert title={trans.__('Not enough room: %1 are missing', formatBytes(plan.missing_bytes, locale))} />
      )}
      {plan.folders.length === 0 && <p>{trans.__('There is nothing to move.')}</p>}
      <Pairs className="jp-Qwen3ft-result" pairs={movePairs(plan, app)} />
      <p>
        {trans.__(
          'Afterwards set MODEL_CACHE_DIR to the new folder and restart JupyterLab; now it comes from: %1. Until then this panel and every kernel look into the old folder.',
          plan.origin
        )}
      </p>
      <p>
        {trans.__(
          'It is a job: it can be paused and stopped, and goes on where it ended. Nothing is deleted before everything is right at its new place.'
        )}
      </p>
    </div>
  );
}
