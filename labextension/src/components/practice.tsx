import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IProblem } from '../api/answers';
import { HUB_UNREACHABLE, PRACTICE_MODEL } from '../domain/models';
import { ActionButton } from './button';
import { useApp, useStore } from './context';

/** The button that gets the model for which no network is needed. */
export function PracticeButton(): JSX.Element {
  const { store, trans } = useApp();
  return (
    <ActionButton
      icon={downloadIcon}
      label={trans.__('Download the practice model')}
      description={trans.__('Download the practice model: tiny, comes with this package, needs no network')}
      isBusy={useStore(each => each.isDownloading(PRACTICE_MODEL))}
      onClick={() => void store.actions.download(PRACTICE_MODEL)}
    />
  );
}

/** What can be done where no hub can be reached; nothing for other problems, or once the model is there. */
export function PracticeHint({ problem }: { readonly problem: IProblem }): JSX.Element | null {
  const { trans } = useApp();
  const isOffered = useStore(({ practiceOffer }) => practiceOffer !== null);
  if (problem.code !== HUB_UNREACHABLE || !isOffered) {
    return null;
  }
  return (
    <div className="jp-Qwen3ft-practice">
      <p>{trans.__('No network here? The practice model needs none.')}</p>
      <PracticeButton />
    </div>
  );
}
