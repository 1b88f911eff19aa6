import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../model';
import { HUB_UNREACHABLE, PRACTICE_MODEL } from '../model';
import type { IProblem } from '../types';
import type { ILanguage } from '../words';
import { ActionButton } from './button';

/** The button that gets the model for which no network is needed. */
export function PracticeButton({ model, language }: Omit<PracticeHint.IProps, 'problem'>): JSX.Element {
  const { trans } = language;
  return (
    <ActionButton
      icon={downloadIcon}
      label={trans.__('Get the practice model')}
      description={trans.__('Get the practice model: tiny, comes with this package, needs no network')}
      isBusy={model.isDownloading(PRACTICE_MODEL)}
      onClick={() => void model.download(PRACTICE_MODEL)}
    />
  );
}

/** What can be done where no hub can be reached; nothing for other problems, or once the model is there. */
export function PracticeHint({ problem, model, language }: PracticeHint.IProps): JSX.Element | null {
  if (problem.code !== HUB_UNREACHABLE || model.practiceOffer === null) {
    return null;
  }
  const { trans } = language;
  return (
    <div className="jp-Qwen3ft-practice">
      <p>{trans.__('No network here? The practice model needs none.')}</p>
      <PracticeButton model={model} language={language} />
    </div>
  );
}

/** A namespace for `PracticeHint` statics. */
export namespace PracticeHint {
  /** The properties of the hint. */
  export interface IProps {
    readonly problem: IProblem;
    readonly model: PanelModel;
    readonly language: ILanguage;
  }
}
