import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { tendingOf } from '../domain/jobs';
import type { PanelModel } from '../state/store';
import type { ICached } from '../api/types';
import type { ILanguage } from '../domain/words';
import { ActionButton } from './button';

/** The button that mends a damaged model. */
export function RepairButton({ entry, model, language }: RepairButton.IProps): JSX.Element {
  const { trans } = language;
  return (
    <ActionButton
      icon={refreshIcon}
      label={trans.__('Repair')}
      description={trans.__('Repair %1: fetch only what is damaged', entry.model_name)}
      isBusy={model.isPending(entry.slug) || tendingOf(model.snapshot.jobs, entry) !== null}
      onClick={() => void model.repair(entry)}
    />
  );
}

/** A namespace for `RepairButton` statics. */
export namespace RepairButton {
  /** The properties of the button. */
  export interface IProps {
    readonly entry: ICached;
    readonly model: PanelModel;
    readonly language: ILanguage;
  }
}
