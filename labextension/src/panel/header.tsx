import { VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../state/store';
import { Alert, ProblemAlert } from '../components/alert';
import { PracticeHint } from '../components/practice';
import { SERVER_MISSING } from '../api/request';
import type { IJob, IStatus } from '../api/types';
import type { ILanguage } from '../domain/words';
import { hubName, jobTitle, standingWord } from '../domain/words';
import { isSameVersion, PACKAGE_VERSION } from '../domain/version';

/** For a shell, in every language. */
const INSTALL_COMMANDS = 'pip install qwen3ft-jupyter\njupyter server extension enable qwen3ft_jupyter';

/** The top of the panel: which hub, what is wrong, and what screen readers hear when a job changes. */
export class HeaderView extends VDomRenderer<PanelModel> {
  /**
   * @param model - The state of the panel.
   * @param _language - The language of the interface.
   */
  constructor(
    model: PanelModel,
    private readonly _language: ILanguage
  ) {
    super(model);
    this.addClass('jp-Qwen3ft-header');
    model.jobChanged.connect(this._onJobChanged, this);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.model.jobChanged.disconnect(this._onJobChanged, this);
      super.dispose();
    }
  }

  protected override render(): JSX.Element {
    const { snapshot, actionProblem } = this.model;
    const { status, problem } = snapshot;
    return (
      <>
        {problem?.code === SERVER_MISSING && <ServerMissing language={this._language} />}
        {problem && problem.code !== SERVER_MISSING && (
          <ProblemAlert problem={problem} language={this._language} />
        )}
        {status && <Status status={status} language={this._language} />}
        {actionProblem && (
          <ProblemAlert
            problem={actionProblem}
            language={this._language}
            onDismiss={() => this.model.dismissProblem()}
          >
            <PracticeHint problem={actionProblem} model={this.model} language={this._language} />
          </ProblemAlert>
        )}
        <div className="jp-Qwen3ft-announcer" role="status" aria-live="polite">
          {this._announcement}
        </div>
      </>
    );
  }

  private _onJobChanged(_: PanelModel, job: IJob): void {
    const { trans } = this._language;
    this._announcement = trans.__('%1: %2', jobTitle(job, trans), standingWord(job, trans));
    this.update();
  }

  private _announcement = '';
}

function ServerMissing({ language }: { language: ILanguage }): JSX.Element {
  const { trans } = language;
  return (
    <Alert title={trans.__('The server part is missing')} look="warning">
      <p>
        {trans.__(
          'JupyterLab runs without the qwen3ft_jupyter server extension. In the environment that JupyterLab was started from, run:'
        )}
      </p>
      <pre className="jp-Qwen3ft-command" tabIndex={0} aria-label={trans.__('Commands to run')}>
        {INSTALL_COMMANDS}
      </pre>
      <p>{trans.__('Then restart JupyterLab and reload this page.')}</p>
    </Alert>
  );
}

function Status({ status, language }: { status: IStatus; language: ILanguage }): JSX.Element {
  const { trans } = language;
  const settings = status.settings.map(({ name, value, origin }) => `${name} = ${value} (${origin})`);
  return (
    <>
      {!isSameVersion(status.version) && (
        <Alert title={trans.__('Two versions at once')} look="warning">
          <p>
            {trans.__(
              'This page has version %1, the server has %2. Reload the page; if that does not help, restart JupyterLab.',
              PACKAGE_VERSION,
              status.version
            )}
          </p>
        </Alert>
      )}
      {status.warnings.map(warning => (
        <Alert key={warning} title={trans.__('Note')} look="info">
          <p>{warning}</p>
        </Alert>
      ))}
      <div className="jp-Qwen3ft-hub" title={settings.join('\n')}>
        {trans.__('Hub: %1', hubName(status.hub))}
      </div>
    </>
  );
}
