import { Clipboard } from '@jupyterlab/apputils';
import { copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import type { ILanguage } from '../domain/language';
import { Markdown } from './markdown';
import type { IReply, ITurn, Side } from './protocol';
import { SIDES } from './protocol';
import { splitThinking } from './thinking';

interface ITurnProps {
  readonly turn: ITurn;
  readonly hasAdapter: boolean;
}

/** A question and what was answered, side by side where there is room. */
export const TurnView = React.memo(function TurnView({ turn, hasAdapter }: ITurnProps): JSX.Element {
  const { trans } = useApp();
  const answered = SIDES.filter(side => turn.replies[side]);
  const isNamed = hasAdapter || answered.length > 1 || answered.includes('tuned');
  return (
    <li className="jp-Qwen3ft-turn">
      <div className="jp-Qwen3ft-question">
        <span className="jp-Qwen3ft-announcer">{trans.__('You')}</span>
        {turn.question}
      </div>
      <div className={`jp-Qwen3ft-replies${answered.length > 1 ? ' jp-mod-both' : ''}`}>
        {answered.map(side => (
          <ReplyView key={side} reply={turn.replies[side]} side={side} isNamed={isNamed} turn={turn} />
        ))}
      </div>
    </li>
  );
});

interface IReplyProps {
  readonly reply: IReply | undefined;
  readonly side: Side;
  readonly isNamed: boolean;
  readonly turn: ITurn;
}

function ReplyView({ reply, side, isNamed, turn }: IReplyProps): JSX.Element | null {
  const app = useApp();
  const { trans } = app;
  if (reply === undefined) {
    return null;
  }
  const { thought, answer, isThinking } = splitThinking(reply.text);
  const isWriting = reply.end === '';
  const name = sideName(side, isNamed, app);
  return (
    <section className="jp-Qwen3ft-reply" aria-label={name} aria-busy={isWriting || undefined}>
      <div className="jp-Qwen3ft-replyHead">
        <span className="jp-Qwen3ft-replyName">{name}</span>
        <ActionButton
          icon={copyIcon}
          isIconOnly
          label={trans.__('Copy the answer')}
          isDisabled={answer === ''}
          onClick={() => Clipboard.copyToSystem(answer)}
        />
      </div>
      {thought !== null && <Thought thought={thought} isThinking={isThinking && isWriting} />}
      {answer !== '' && <Markdown source={answer} />}
      {isWriting && answer === '' && !isThinking && (
        <p className="jp-Qwen3ft-waiting">{trans.__('Reading the question…')}</p>
      )}
      {!isWriting && reply.text.trim() === '' && reply.error === null && (
        <p className="jp-Qwen3ft-waiting">{trans.__('The answer is empty.')}</p>
      )}
      {reply.error && <ProblemAlert problem={reply.error} />}
      <div className="jp-Qwen3ft-meta">{replyFacts(reply, turn, app).join(' · ')}</div>
    </section>
  );
}

interface IThoughtProps {
  readonly thought: string;
  readonly isThinking: boolean;
}

/** The reasoning, folded: whoever wants it opens it. */
function Thought({ thought, isThinking }: IThoughtProps): JSX.Element {
  const { trans } = useApp();
  return (
    <details className="jp-Qwen3ft-thought">
      <summary>{isThinking ? trans.__('Thinking…') : trans.__('Thoughts')}</summary>
      <div className="jp-Qwen3ft-thoughtText">{thought}</div>
    </details>
  );
}

/** Who answers. */
export function sideName(side: Side, isNamed: boolean, { trans }: ILanguage): string {
  if (!isNamed) {
    return trans.__('Answer');
  }
  return side === 'base' ? trans.__('Base model') : trans.__('Fine-tuned');
}

/** How much was written, how fast, and why it ended where that is no matter of course. */
function replyFacts(reply: IReply, turn: ITurn, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const { tokens, seconds, end } = reply;
  if (tokens === 0) {
    return [];
  }
  const rate = seconds > 0 ? (tokens / seconds).toLocaleString(locale, { maximumFractionDigits: 1 }) : '';
  const { seed } = turn.options;
  return [
    end === 'stopped' ? trans.__('Stopped') : '',
    end === 'length' ? trans.__('Cut off at the longest that was allowed') : '',
    trans._n('%1 token', '%1 tokens', tokens),
    formatSeconds(seconds, locale),
    rate && trans.__('%1 tokens/s', rate),
    end !== '' && typeof seed === 'number' && turn.options.temperature !== 0 ? trans.__('seed %1', seed) : ''
  ].filter(fact => fact !== '');
}

/** A short time, to a tenth: what is faster than a second differs, too. */
function formatSeconds(seconds: number, locale: string): string {
  return seconds.toLocaleString(locale, {
    style: 'unit',
    unit: 'second',
    unitDisplay: 'short',
    maximumFractionDigits: 1
  });
}
