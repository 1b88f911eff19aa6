import { Dialog } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ICache, ICached } from '../api/answers';
import type { IApp } from '../components/context';
import { inApp, useApp } from '../components/context';
import { expendable } from '../domain/cache';
import { formatAgo, formatBytes } from '../domain/format';
import { revisionWords } from '../domain/names';
import { tellOfKept } from './delete';

/** Let a person choose what goes, with what that frees, and delete it: one after the other, until one cannot be. */
export async function freeUpSpace(app: IApp, cache: ICache): Promise<void> {
  const { trans } = app;
  const title = trans.__('Free up space');
  const dialog = new Dialog<ReadonlyArray<ICached>>({
    title,
    body: new Choice(app, expendable(cache)),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete the chosen ones') })
    ],
    defaultButton: 0
  });
  dialog.node.ariaLabel = title;
  const { button, value } = await dialog.launch();
  for (const entry of button.accept ? (value ?? []) : []) {
    const kept = await app.store.actions.evict(entry);
    tellOfKept(kept, app);
    if (kept === null) {
      return; // the panel says why
    }
  }
}

/** What may go, each with a box to tick. */
class Choice extends ReactWidget implements Dialog.IBodyWidget<ReadonlyArray<ICached>> {
  constructor(
    private readonly _app: IApp,
    private readonly _entries: ReadonlyArray<ICached>
  ) {
    super();
    this.addClass('jp-Qwen3ft-choice');
  }

  getValue(): ReadonlyArray<ICached> {
    return this._entries.filter(each => this._chosen.has(each.slug));
  }

  protected override render(): React.ReactElement {
    const toggle = (slug: string) => {
      const chosen = new Set(this._chosen);
      if (!chosen.delete(slug)) {
        chosen.add(slug);
      }
      this._chosen = chosen;
      this.update();
    };
    return inApp(this._app, <Boxes entries={this._entries} chosen={this._chosen} onToggle={toggle} />);
  }

  private _chosen: ReadonlySet<string> = new Set();
}

interface IBoxesProps {
  readonly entries: ReadonlyArray<ICached>;
  readonly chosen: ReadonlySet<string>;
  readonly onToggle: (slug: string) => void;
}

function Boxes({ entries, chosen, onToggle }: IBoxesProps): JSX.Element {
  const { trans, locale } = useApp();
  const now = Date.now() / 1000;
  const going = entries.filter(each => chosen.has(each.slug));
  const freed = formatBytes(
    going.reduce((sum, each) => sum + each.size, 0),
    locale
  );
  return (
    <>
      <p>
        {trans.__(
          'Models can be downloaded again. What is pinned is not listed, and what you fine-tuned is kept.'
        )}
      </p>
      <fieldset>
        <legend>{trans.__('What was used longest ago comes first')}</legend>
        {entries.map(each => (
          <label key={each.slug}>
            <input type="checkbox" checked={chosen.has(each.slug)} onChange={() => onToggle(each.slug)} />
            <span className="jp-Qwen3ft-choiceName">
              {[each.model_name, revisionWords(each.revision, each.commit)].filter(Boolean).join(' · ')}
            </span>
            <span>{formatBytes(each.size, locale)}</span>
            <span className="jp-Qwen3ft-meta">
              {each.last_used === null ? '' : trans.__('used %1', formatAgo(each.last_used, now, locale))}
            </span>
          </label>
        ))}
      </fieldset>
      <p role="status">
        {going.length === 0
          ? trans.__('Nothing is chosen.')
          : trans._n(
              '%1 model goes; this frees at most %2.',
              '%1 models go; this frees at most %2.',
              going.length,
              freed
            )}
      </p>
    </>
  );
}
