import * as React from 'react';

import type { IJob, Metrics } from '../api/answers';
import { formatCount, formatMetric } from '../domain/format';
import { lossWords } from '../domain/result';
import { useApp } from './context';

const WIDTH = 240;
const HEIGHT = 48;
const MARGIN = 3;

interface ISparklineProps {
  readonly job: IJob;
  readonly metrics: ReadonlyArray<Metrics>;
}

/** How the loss went: each step as a faint line, the mean over several as a strong one, and from where to where. */
export function Sparkline({ job, metrics }: ISparklineProps): JSX.Element | null {
  const app = useApp();
  const { trans, locale } = app;
  const training = series(metrics, 'loss');
  if (training.length < 2) {
    return null;
  }
  const evaluation = series(metrics, 'eval_loss');
  const all = [...training, ...evaluation];
  const losses = all.map(point => point.loss);
  const steps = formatCount(training[training.length - 1].step, locale);
  const loss = lossWords(job, app);
  const words =
    loss === '' ? trans.__('Loss over %1 steps', steps) : trans.__('Loss %1; %2 steps', loss, steps);
  return (
    <figure className="jp-Qwen3ft-sparkline">
      <div className="jp-Qwen3ft-axis" aria-hidden="true">
        <span>{formatMetric(Math.max(...losses), locale)}</span>
        <span>{formatMetric(Math.min(...losses), locale)}</span>
      </div>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={words}>
        <polyline className="jp-Qwen3ft-line jp-mod-raw" points={points(training, all)} />
        <polyline className="jp-Qwen3ft-line" points={points(smoothed(training), all)} />
        {evaluation.length > 1 && (
          <polyline className="jp-Qwen3ft-line jp-mod-evaluation" points={points(evaluation, all)} />
        )}
      </svg>
      <figcaption className="jp-Qwen3ft-meta">{words}</figcaption>
    </figure>
  );
}

/** Points that the strong line is the mean of, at each place and before it. */
const WINDOW = 10;

function smoothed(line: ReadonlyArray<IPoint>): ReadonlyArray<IPoint> {
  return line.map(({ step }, index) => {
    const before = line.slice(Math.max(0, index + 1 - WINDOW), index + 1);
    return { step, loss: before.reduce((sum, point) => sum + point.loss, 0) / before.length };
  });
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
