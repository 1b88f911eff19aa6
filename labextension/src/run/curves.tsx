import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ICurves, ISeries } from '../api/runs';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import type { IRange } from '../domain/curves';
import { extent, smoothed, zoomed } from '../domain/curves';
import type { ILanguage } from '../domain/language';
import { COUNTERS, metricName, metricValue } from '../domain/metrics';
import { planOf } from '../domain/outcome';
import { Chart } from './chart';
import { usePicture, useRun } from './context';
import { lookOf } from './look';
import type { ILine } from './plot';
import { Values } from './values';

/** The charts that stand first, in their order; those of other metrics follow. */
const FIRST = [
  'learning_rate',
  'tokens_per_s',
  'memory_bytes',
  'mfu',
  'grad_norm',
  'parallel_efficiency',
  'communication_share'
];

/** What is another at each step; the rest follows a plan, or stays as it is. */
const JUMPY: ReadonlySet<string> = new Set([
  'tokens_per_s',
  'mfu',
  'grad_norm',
  'parallel_efficiency',
  'communication_share'
]);

/** Both of them are in the first chart. */
const LOSSES = ['loss', 'eval_loss'];

/** The curves of the run, and what can be changed about how they are drawn. */
export function Curves(): JSX.Element {
  const { trans } = useApp();
  const model = useRun();
  const curves = usePicture(picture => picture.curves);
  const range = usePicture(picture => picture.range);
  const [smoothing, setSmoothing] = React.useState(0.6);
  const [isLogarithmic, setLogarithmic] = React.useState(false);
  const [isTable, setTable] = React.useState(false);
  if (curves === null || curves.last_step === 0) {
    return <p className="jp-Qwen3ft-empty">{trans.__('The first curve is drawn after the first step.')}</p>;
  }
  return (
    <>
      <div className="jp-Qwen3ft-tools" role="toolbar" aria-label={trans.__('Curves')}>
        <Smoothing value={smoothing} onChange={setSmoothing} />
        <ActionButton
          label={trans.__('Log scale')}
          isPressed={isLogarithmic}
          onClick={() => setLogarithmic(!isLogarithmic)}
        />
        <ZoomButtons
          whole={extent(Object.values(curves.series))}
          range={range}
          onRange={chosen => model.setRange(chosen)}
        />
        <ActionButton
          label={trans.__('Values as a table')}
          isPressed={isTable}
          onClick={() => setTable(!isTable)}
        />
      </div>
      {isTable ? (
        <Values curves={curves} />
      ) : (
        <Charts curves={curves} smoothing={smoothing} isLogarithmic={isLogarithmic} />
      )}
    </>
  );
}

interface ISmoothingProps {
  readonly value: number;
  readonly onChange: (value: number) => void;
}

/** How smooth curves are drawn: 0 for as they are. */
export function Smoothing({ value, onChange }: ISmoothingProps): JSX.Element {
  const { trans } = useApp();
  return (
    <label className="jp-Qwen3ft-slider">
      {trans.__('Smoothing')}
      <input
        type="range"
        min={0}
        max={0.98}
        step={0.02}
        value={value}
        onChange={event => onChange(Number(event.target.value))}
      />
      <output>{value.toFixed(2)}</output>
    </label>
  );
}

interface IZoomProps {
  /** All that there is. */
  readonly whole: IRange | null;
  /** What is looked at, null for all. */
  readonly range: IRange | null;
  readonly onRange: (range: IRange | null) => Promise<void>;
}

/** What the mouse does by drawing over a chart, for the keyboard as well. */
export function ZoomButtons({ whole, range, onRange }: IZoomProps): JSX.Element | null {
  const { trans } = useApp();
  if (whole === null) {
    return null;
  }
  const zoom = (factor: number) => {
    const next = zoomed(range ?? whole, factor, whole);
    void onRange(next.first <= whole.first && next.last >= whole.last ? null : next);
  };
  return (
    <>
      <ActionButton label={trans.__('Zoom in')} onClick={() => zoom(0.5)} />
      <ActionButton label={trans.__('Zoom out')} onClick={() => zoom(2)} />
      <ActionButton icon={refreshIcon} label={trans.__('All steps')} onClick={() => void onRange(null)} />
    </>
  );
}

interface IChartsProps {
  readonly curves: ICurves;
  readonly smoothing: number;
  readonly isLogarithmic: boolean;
}

function Charts({ curves, smoothing, isLogarithmic }: IChartsProps): JSX.Element {
  const app = useApp();
  const { trans, locale } = app;
  const model = useRun();
  const range = usePicture(picture => picture.range);
  const detail = usePicture(picture => picture.detail);
  const run = usePicture(picture => picture.run);
  const memory = run === null ? null : (planOf(run).memory_bytes ?? null);
  const { series } = detail ?? curves;
  const losses = React.useMemo(() => lossLines(series, smoothing, app), [series, smoothing, app]);
  const others = React.useMemo(
    () =>
      chartNames(series).map(name => ({ name, lines: linesOf(name, series[name], smoothing, memory, app) })),
    [series, smoothing, memory, app]
  );
  const onRange = React.useCallback<typeof model.setRange>(chosen => model.setRange(chosen), [model]);
  return (
    <div className="jp-Qwen3ft-charts">
      <Chart
        title={trans.__('Loss')}
        lines={losses}
        range={range}
        height={260}
        isLogarithmic={isLogarithmic}
        format={value => metricValue('loss', value, locale)}
        onRange={chosen => void onRange(chosen)}
      />
      {others.map(({ name, lines }) => (
        <Chart
          key={name}
          title={metricName(name, trans)}
          lines={lines}
          range={range}
          format={value => metricValue(name, value, locale)}
          onRange={chosen => void onRange(chosen)}
        />
      ))}
    </div>
  );
}

/** The metrics that have a chart of their own. */
function chartNames(series: ICurves['series']): ReadonlyArray<string> {
  const known = FIRST.filter(name => name in series);
  const others = Object.keys(series).filter(
    name => !FIRST.includes(name) && !LOSSES.includes(name) && !COUNTERS.has(name)
  );
  return [...known, ...others.sort()];
}

function lossLines(series: ICurves['series'], smoothing: number, { trans }: ILanguage): ReadonlyArray<ILine> {
  return LOSSES.flatMap((name, index) => {
    const one = series[name];
    return one === undefined
      ? []
      : [lineOf(metricName(name, trans), one, index, name === 'loss' ? smoothing : 0)];
  });
}

/** A line of a metric: what it was at each step is faint behind the smoothed one. */
export function lineOf(label: string, one: ISeries, index: number, smoothing: number): ILine {
  const faint = one.lows.length > 0 ? [one.lows, one.highs] : smoothing > 0 ? [one.means] : [];
  const values = smoothing > 0 ? smoothed(one.means, smoothing, one.stride) : one.means;
  return { label, look: lookOf(index), steps: one.steps, values, faint, isMarked: one.steps.length <= 30 };
}

function linesOf(
  name: string,
  one: ISeries,
  smoothing: number,
  planned: number | null,
  { trans }: ILanguage
): ReadonlyArray<ILine> {
  const line = lineOf(metricName(name, trans), one, 0, JUMPY.has(name) ? smoothing : 0);
  if (name !== 'memory_bytes' || planned === null || one.steps.length === 0) {
    return [line];
  }
  const ends = [one.steps[0], one.steps[one.steps.length - 1]];
  return [line, { label: trans.__('Planned'), look: lookOf(1), steps: ends, values: [planned, planned] }];
}
