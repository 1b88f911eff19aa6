import * as React from 'react';

import type { Metrics } from '../api/answers';
import { formatCount, formatMetric } from '../domain/format';
import { useApp } from './context';

const WIDTH = 240;
const HEIGHT = 48;
const MARGIN = 3;

/** How the loss went, as a line without axes; the numbers at its ends are beside it. */
export function Sparkline(props: { readonly metrics: ReadonlyArray<Metrics> }): JSX.Element | null {
  const { trans, locale } = useApp();
  const { metrics } = props;
  const training = series(metrics, 'loss');
  if (training.length < 2) {
    return null;
  }
  const evaluation = series(metrics, 'eval_loss');
  const all = [...training, ...evaluation];
  const first = training[0];
  const last = training[training.length - 1];
  const words = trans.__(
    'Loss from %1 to %2 in %3 steps',
    formatMetric(first.loss, locale),
    formatMetric(last.loss, locale),
    formatCount(last.step, locale)
  );
  return (
    <figure className="jp-Qwen3ft-sparkline">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={words}>
        <polyline className="jp-Qwen3ft-line" points={points(training, all)} />
        {evaluation.length > 1 && (
          <polyline className="jp-Qwen3ft-line jp-mod-evaluation" points={points(evaluation, all)} />
        )}
      </svg>
      <figcaption className="jp-Qwen3ft-meta">{words}</figcaption>
    </figure>
  );
}

interface IPoint {
  readonly step: number;
  readonly loss: number;
}

function series(metrics: ReadonlyArray<Metrics>, key: string): ReadonlyArray<IPoint> {
  return metrics
    .filter(line => key in line && 'step' in line)
    .map(line => ({ step: line.step, loss: line[key] }));
}

/** Place a series in the frame that `all` spans. */
function points(line: ReadonlyArray<IPoint>, all: ReadonlyArray<IPoint>): string {
  const x = scale(
    all.map(point => point.step),
    MARGIN,
    WIDTH - MARGIN
  );
  const y = scale(
    all.map(point => point.loss),
    HEIGHT - MARGIN,
    MARGIN
  );
  return line.map(point => `${x(point.step).toFixed(1)},${y(point.loss).toFixed(1)}`).join(' ');
}

function scale(values: ReadonlyArray<number>, from: number, to: number): (value: number) => number {
  const least = Math.min(...values);
  const span = Math.max(...values) - least;
  return value => (span === 0 ? (from + to) / 2 : from + ((value - least) / span) * (to - from));
}
