import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Alert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { PracticeButton } from '../components/practice';
import { formatBytes } from '../domain/format';
import { modelToTune, standingOf } from '../state/firststeps';
import { FineTuneButton } from './cells';

/** The smallest model of Qwen. */
const FIRST_MODEL = 'Qwen/Qwen3-0.6B';

/** Whether a newcomer is told how to get a model. */
export function useIsNew(): boolean {
  return useStore(({ actions, snapshot }) => actions.firstSteps.isWanted && standingOf(snapshot) === 'new');
}

/** What to do first and then, until it is closed, or until there is a first fine-tune; then never again. */
export function FirstSteps(): JSX.Element | null {
  const { store } = useApp();
  const standing = useStore(({ actions, snapshot }) =>
    actions.firstSteps.isWanted ? standingOf(snapshot) : 'unknown'
  );
  const isOver = standing === 'tuned';
  React.useEffect(() => {
    if (isOver) {
      store.actions.firstSteps.end();
    }
  }, [store, isOver]);
  return standing === 'new' || standing === 'ready' ? (
    <Steps key={standing} isReady={standing === 'ready'} />
  ) : null;
}

function Steps({ isReady }: { readonly isReady: boolean }): JSX.Element {
  const { store, trans } = useApp();
  const box = React.useRef<HTMLDivElement>(null);
  // Whoever used the keyboard in it goes on below it.
  React.useLayoutEffect(() => {
    const node = box.current;
    return () => {
      if (node?.contains(document.activeElement)) {
        node
          .closest('.jp-SidePanel')
          ?.querySelector<HTMLElement>('.jp-AccordionPanel-title, .lm-AccordionPanel-title')
          ?.focus();
      }
    };
  }, []);
  return (
    <div ref={box} className="jp-Qwen3ft-firstSteps">
      <Alert
        look="info"
        title={isReady ? trans.__('Next step') : trans.__('First steps')}
        onDismiss={() => store.actions.firstSteps.end()}
      >
        {isReady ? <TuneStep /> : <ModelStep />}
      </Alert>
    </div>
  );
}

function ModelStep(): JSX.Element {
  const { store, trans, locale } = useApp();
  const bytes = useStore(
    ({ snapshot }) => snapshot.models.find(each => each.model_name === FIRST_MODEL)?.download_bytes ?? null
  );
  return (
    <>
      <p>{trans.__('Get a model: the tiny one to try everything in a minute, or the smallest Qwen3.')}</p>
      <div className="jp-Qwen3ft-actions">
        <PracticeButton />
        <ActionButton
          icon={downloadIcon}
          label={trans.__('Download Qwen3-0.6B')}
          description={
            bytes === null
              ? undefined
              : trans.__('Download Qwen3-0.6B: %1, the smallest model of Qwen', formatBytes(bytes, locale))
          }
          isBusy={useStore(each => each.isDownloading(FIRST_MODEL))}
          onClick={() => void store.actions.download(FIRST_MODEL)}
        />
      </div>
      <p>{trans.__('Then right-click a file of your data in the file browser: Fine-tune Qwen3 on This.')}</p>
    </>
  );
}

/** What is next once there is a model. */
function TuneStep(): JSX.Element {
  const { trans } = useApp();
  const modelName = useStore(({ snapshot }) => modelToTune(snapshot));
  return (
    <>
      <p>
        {trans.__(
          'A model is here. Fine-tune it on your data: right-click a file in the file browser, Fine-tune Qwen3 on This; or begin with the form.'
        )}
      </p>
      <div className="jp-Qwen3ft-actions">
        <FineTuneButton modelName={modelName} />
      </div>
    </>
  );
}
