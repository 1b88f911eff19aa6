/** The view of one fine-tune's run. This module and what it imports are loaded when the first view is seen. */

import type { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';
import * as React from 'react';

import { text } from '../api/read';
import type { IApp } from '../components/context';
import { appWidget, useApp } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { RunModel } from '../state/run';
import { Compare } from './compare';
import { Config } from './config';
import { inRun, usePicture } from './context';
import { Curves } from './curves';
import { Following } from './following';
import { Header } from './header';
import { Log } from './log';
import { Outcome } from './outcome';
import { Report } from './report';
import type { ITab } from './tabs';
import { Tabs } from './tabs';

/** What a view may do to its place. */
interface IPlace {
  readonly folder: string;
  readonly setTitle: (text: string) => void;
  readonly keepFolder: (folder: string) => void;
}

/** Make the view of a run. */
export function openRun(app: IApp, jobId: string, place: IPlace): Panel {
  return new RunView(app, jobId, place);
}

class RunView extends Panel {
  constructor(app: IApp, jobId: string, { folder, setTitle, keepFolder }: IPlace) {
    super();
    const isHidden = () => !this.isVisible;
    this._model = new RunModel({ store: app.store, jobId, folder, isHidden, onFolder: keepFolder });
    this._stopShowing = app.store.showLists(isHidden); // other runs, and what follows this one
    this._model.subscribe(() => {
      const { job, run } = this._model.picture;
      const name = run?.folder ?? text(job?.result?.output_dir);
      if (name !== '') {
        setTitle(
          app.trans.__('Run %1', name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1))
        );
      }
    });
    this.addClass('jp-Qwen3ft-view');
    this.addWidget(appWidget(app, inRun(this._model, <Page />), 'jp-Qwen3ft-page'));
  }

  override dispose(): void {
    this._stopShowing();
    this._model.dispose();
    super.dispose();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    void this._model.refresh();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    void this._model.refresh();
  }

  private readonly _model: RunModel;
  private readonly _stopShowing: () => void;
}

/** All of it: what the run is on top, and below it one of several things to look at. */
function Page(): JSX.Element {
  const { trans } = useApp();
  const report = usePicture(({ run }) => run?.report ?? null);
  const tabs: ReadonlyArray<ITab> = [
    {
      id: 'curves',
      title: trans.__('Curves'),
      body: () => (
        <>
          <Curves />
          <Outcome />
        </>
      )
    },
    {
      id: 'report',
      title: trans.__('Report and answers'),
      body: () =>
        report ? (
          <Report report={report} />
        ) : (
          <p className="jp-Qwen3ft-empty">
            {trans.__(
              'There is no report: it is made while the run learns, unless its config says report: false.'
            )}
          </p>
        )
    },
    { id: 'config', title: trans.__('Config'), body: () => <Config /> },
    { id: 'compare', title: trans.__('Compare'), body: () => <Compare /> },
    { id: 'log', title: trans.__('Log'), body: () => <Log /> }
  ];
  return (
    <>
      <FocusKeeper>
        <Header />
      </FocusKeeper>
      <Following />
      <Tabs label={trans.__('Run')} tabs={tabs} />
    </>
  );
}
