import * as React from 'react';

import type { IBin, IPreview } from '../api/finetune';
import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { Pairs } from '../components/pairs';
import { formatCount, formatShare } from '../domain/format';
import type { ILanguage, Pair } from '../domain/language';
import { useModel } from './context';
import { Notices } from './fit';
import { Samples } from './samples';
import { visible } from './visible';
import { Waiting } from './waiting';

/** The data as the model will see it. */
export function Seen(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  const { preview } = model;
  const id = React.useId();
  const found = preview.value;
  const hasData = model.data.length > 0;
  return (
    <section className="jp-Qwen3ft-pane" aria-labelledby={id} aria-busy={preview.isBusy}>
      <h2 id={id}>{trans.__('What the model will see')}</h2>
      {preview.problem !== null && !preview.isBusy && <PreviewProblem />}
      {found === null && preview.problem === null && !preview.isBusy && (
        <p className="jp-Qwen3ft-help">{trans.__('Choose a model and data: then it is shown here.')}</p>
      )}
      {preview.isBusy && (
        <Waiting label={trans.__('Reading the data, counting tokens')} onStop={() => preview.stop()} />
      )}
      {found !== null && (preview.problem === null || preview.isBusy) && (
        <div className={model.isPreviewFresh ? '' : 'jp-mod-stale'}>
          <Found preview={found} />
        </div>
      )}
      {hasData && !preview.isBusy && !model.isPreviewFresh && model.checked.value?.problems.length === 0 && (
        <ActionButton label={trans.__('Look again')} onClick={() => model.look()} />
      )}
    </section>
  );
}

function PreviewProblem(): JSX.Element | null {
  const { store, trans } = useApp();
  const model = useModel();
  const { problem } = model.preview;
  if (problem === null) {
    return null;
  }
  const name = model.text('model');
  return (
    <ProblemAlert problem={problem}>
      {problem.code === 'not-cached' && (
        <ActionButton
          label={trans.__('Download')}
          description={trans.__('Download %1', name)}
          isBusy={store.isDownloading(name)}
          onClick={() => void store.actions.download(name)}
        />
      )}
      {problem.hint.includes('skip_bad_rows') && (
        <ActionButton
          label={trans.__('Leave such rows out')}
          onClick={() => model.set({ skip_bad_rows: true })}
        />
      )}
    </ProblemAlert>
  );
}

function Found({ preview }: { readonly preview: IPreview }): JSX.Element {
  const app = useApp();
  return (
    <>
      <Pairs className="jp-Qwen3ft-result" pairs={facts(preview, app)} />
      <Lengths bins={preview.lengths} />
      <LeftOut rows={preview.rows_left_out} whole={preview.empty + preview.bad} />
      <Samples samples={preview.first} />
      <Notices notices={preview.notices} />
    </>
  );
}

function facts(preview: IPreview, { trans, locale }: ILanguage): ReadonlyArray<Pair> {
  const number = (value: number) => formatCount(value, locale);
  const about = preview.basis === 'counted' ? '' : '≈ ';
  const pairs: Pair[] = [
    [
      trans.__('Rows'),
      trans.__('%1 of %2 are learned from', number(preview.conversations), number(preview.rows))
    ],
    [trans.__('Samples'), about + number(preview.samples)],
    [
      trans.__('Tokens'),
      about +
        trans.__(
          '%1, of which %2 (%3) are learned',
          number(preview.tokens),
          number(preview.trained_tokens),
          formatShare(preview.trained_tokens, preview.tokens, locale)
        )
    ],
    [trans.__('With thinking'), formatShare(preview.thinking, 1, locale)],
    [trans.__('Duplicates'), number(preview.duplicates)],
    [trans.__('Empty rows'), number(preview.empty)],
    [trans.__('Wrong rows left out'), number(preview.bad)],
    [trans.__('Shortened to %1 tokens', number(preview.max_length)), about + number(preview.shortened)],
    [trans.__('Answers that do not fit'), about + number(preview.left_out)]
  ];
  return pairs;
}

/** How long the samples are, in bars; the words say the same for those who cannot see them. */
function Lengths({ bins }: { readonly bins: ReadonlyArray<IBin> }): JSX.Element | null {
  const { trans, locale } = useApp();
  if (bins.length === 0) {
    return null;
  }
  const number = (value: number) => formatCount(value, locale);
  const most = bins.reduce((best, bin) => (bin.count > best.count ? bin : best));
  const label = trans.__(
    'Lengths from %1 to %2 tokens; most samples, %3, have %4 to %5',
    number(bins[0].low),
    number(bins[bins.length - 1].high),
    number(most.count),
    number(most.low),
    number(most.high)
  );
  return (
    <figure className="jp-Qwen3ft-lengths">
      <figcaption>{trans.__('Tokens of a sample')}</figcaption>
      <div className="jp-Qwen3ft-bars" role="img" aria-label={label}>
        {bins.map(bin => (
          <div
            key={bin.low}
            title={trans.__('%1 to %2 tokens: %3', number(bin.low), number(bin.high), number(bin.count))}
          >
            <span>{bin.count > 0 ? number(bin.count) : ''}</span>
            <div style={{ height: `${(100 * bin.count) / most.count}%` }} />
          </div>
        ))}
      </div>
      <div className="jp-Qwen3ft-axisX" aria-hidden="true">
        <span>{number(bins[0].low)}</span>
        <span>{number(bins[bins.length - 1].high)}</span>
      </div>
    </figure>
  );
}

/** Which rows are not learned from, and why. */
function LeftOut(props: {
  readonly rows: ReadonlyArray<string>;
  readonly whole: number;
}): JSX.Element | null {
  const { trans, locale } = useApp();
  const { rows, whole } = props;
  if (rows.length === 0) {
    return null;
  }
  return (
    <details className="jp-Qwen3ft-fold jp-mod-level3">
      <summary>
        <h3>{trans._n('%1 row is left out', '%1 rows are left out', whole, formatCount(whole, locale))}</h3>
      </summary>
      <ul className="jp-Qwen3ft-leftOut" tabIndex={0} aria-label={trans.__('Rows left out, and why')}>
        {rows.map(row => (
          <li key={row}>
            <bdi>{visible(row)}</bdi>
          </li>
        ))}
        {whole > rows.length && <li>{trans.__('and %1 more', formatCount(whole - rows.length, locale))}</li>}
      </ul>
    </details>
  );
}
