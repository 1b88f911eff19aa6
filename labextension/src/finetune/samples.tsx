import { caretLeftIcon, caretRightIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ISample, IToken } from '../api/finetune';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { formatCount } from '../domain/format';
import { runsOf } from './runs';
import { visible } from './visible';

/** So many tokens of a sample are drawn at first: a whole book would make the page slow. */
const SHOWN_TOKENS = 1500;

/** The samples, one at a time. */
export function Samples({ samples }: { readonly samples: ReadonlyArray<ISample> }): JSX.Element | null {
  const { trans } = useApp();
  const [chosen, choose] = React.useState(0);
  const [isWhole, setWhole] = React.useState(false);
  const index = Math.min(chosen, samples.length - 1);
  const sample: ISample | undefined = samples[index];
  if (sample === undefined) {
    return null;
  }
  const go = (step: number) => {
    choose((index + step + samples.length) % samples.length);
    setWhole(false);
  };
  const rest = sample.tokens.length - SHOWN_TOKENS;
  return (
    <div className="jp-Qwen3ft-samples" role="group" aria-label={trans.__('Samples')}>
      <div className="jp-Qwen3ft-samplesHead">
        <h3>{trans.__('Sample %1 of %2', index + 1, samples.length)}</h3>
        <ActionButton
          icon={caretLeftIcon}
          isIconOnly
          label={trans.__('Previous sample')}
          onClick={() => go(-1)}
        />
        <ActionButton
          icon={caretRightIcon}
          isIconOnly
          label={trans.__('Next sample')}
          onClick={() => go(1)}
        />
      </div>
      <SampleWords sample={sample} />
      <div
        className="jp-Qwen3ft-sample"
        tabIndex={0}
        role="region"
        aria-label={trans.__('Text of sample %1', index + 1)}
        dir="ltr"
      >
        <Tokens tokens={isWhole ? sample.tokens : sample.tokens.slice(0, SHOWN_TOKENS)} />
      </div>
      {rest > 0 && !isWhole && (
        <ActionButton label={trans.__('Show %1 more tokens', rest)} onClick={() => setWhole(true)} />
      )}
      <p className="jp-Qwen3ft-help">
        <mark className="jp-Qwen3ft-learned">{trans.__('Marked and underlined')}</mark>{' '}
        {trans.__('is learned: the loss counts these tokens. The rest is read only.')}
      </p>
    </div>
  );
}

function SampleWords({ sample }: { readonly sample: ISample }): JSX.Element {
  const { trans, locale } = useApp();
  const learned = sample.tokens.filter(token => token.is_learned).length;
  const words = [
    trans.__(
      '%1 tokens, %2 of them learned',
      formatCount(sample.tokens.length, locale),
      formatCount(learned, locale)
    )
  ];
  if (sample.answer !== '') {
    words.unshift(
      sample.answer === 'chosen' ? trans.__('the chosen answer') : trans.__('the rejected answer')
    );
  }
  return <p className="jp-Qwen3ft-meta">{words.join(' · ')}</p>;
}

/** Tokens in a row that are all learned, or all not, with a hair line between two of them. */
const Tokens = React.memo(function Tokens({
  tokens
}: {
  readonly tokens: ReadonlyArray<IToken>;
}): JSX.Element {
  const { trans } = useApp();
  return (
    <>
      {runsOf(tokens).map((run, index) => {
        const texts = run.map((token, place) => <span key={place}>{visible(token.text)}</span>);
        return run[0].is_learned ? (
          <mark key={index} className="jp-Qwen3ft-learned" title={trans.__('learned')}>
            {texts}
          </mark>
        ) : (
          <span key={index} className="jp-Qwen3ft-context">
            {texts}
          </span>
        );
      })}
    </>
  );
});
