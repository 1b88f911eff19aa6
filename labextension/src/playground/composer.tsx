import { stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { usePlayground, useSnapshot } from './context';

/** The key code of a key that an input method takes: some browsers say so in no other way. */
const KEY_OF_INPUT_METHOD = 229;

/** Where questions are written. */
export function Composer(): JSX.Element {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const { told, line, isStopping } = useSnapshot();
  const [question, setQuestion] = React.useState('');
  const isAnswering = told.phase === 'answering';
  const canAsk = line === 'open' && told.phase === 'ready';
  const send = () => {
    if (canAsk && question.trim() !== '') {
      playground.ask(question);
      setQuestion('');
    }
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    const { isComposing, keyCode } = event.nativeEvent;
    // With Enter an input method takes what is composed: that sends nothing.
    if (event.key === 'Enter' && !event.shiftKey && !isComposing && keyCode !== KEY_OF_INPUT_METHOD) {
      event.preventDefault();
      send();
    }
  };
  return (
    <form
      className="jp-Qwen3ft-composer"
      onSubmit={event => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        className="jp-Qwen3ft-text"
        rows={Math.min(8, Math.max(2, question.split('\n').length))}
        aria-label={trans.__('Question')}
        placeholder={
          told.model
            ? trans.__('Ask something. Shift+Enter begins a new line.')
            : trans.__('Load a model first.')
        }
        value={question}
        onChange={event => setQuestion(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {isAnswering ? (
        <ActionButton
          icon={stopIcon}
          label={trans.__('Stop')}
          description={trans.__('Stop the answer')}
          isBusy={isStopping}
          onClick={() => playground.stop()}
        />
      ) : (
        <ActionButton isSubmit look="primary" label={trans.__('Send')} isDisabled={!canAsk} />
      )}
    </form>
  );
}

/** What can be done with the conversation. */
export function ConversationTools(): JSX.Element | null {
  const { trans } = useApp();
  const { playground } = usePlayground();
  const { told, line } = useSnapshot();
  if (told.turns.length === 0) {
    return null;
  }
  const isIdle = told.phase !== 'answering' && told.phase !== 'loading';
  const canAsk = line === 'open' && told.phase === 'ready';
  return (
    <div className="jp-Qwen3ft-actions">
      <ActionButton
        label={trans.__('Regenerate')}
        description={trans.__('Regenerate: answer the last question anew')}
        // Not disabled while it answers: that would take the focus from whoever pressed it.
        isBusy={told.phase === 'answering'}
        isDisabled={!canAsk && told.phase !== 'answering'}
        onClick={() => playground.again()}
      />
      <ActionButton
        label={trans.__('Insert cell')}
        description={trans.__('Insert cell: put code into the notebook that asks the same')}
        isDisabled={!canAsk}
        onClick={() => playground.writeCode()}
      />
      <ActionButton
        label={trans.__('Clear')}
        description={trans.__('Clear the conversation')}
        isDisabled={!isIdle}
        onClick={button => {
          playground.clear();
          // This button goes away with what it clears.
          button.closest('.jp-Qwen3ft-play')?.querySelector<HTMLElement>('form textarea')?.focus();
        }}
      />
    </div>
  );
}
