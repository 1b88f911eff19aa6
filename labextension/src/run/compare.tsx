import * as React from 'react';

import type { ICurves, ISeries } from '../api/runs';
import { ProblemAlert } from '../components/alert';
import { useApp } from '../components/context';
import { extent } from '../domain/curves';
import { written } from '../domain/fields';
import { metricName, metricValue } from '../domain/metrics';
import type { ICompared } from '../state/compare';
import { Chart } from './chart';
import { useOtherRuns } from './config';
import { useCompared, usePicture, useRun } from './context';
import { lineOf, Smoothing, ZoomButtons } from './curves';
import type { ILine } from './plot';

/** Which curves are laid over each other. */
const OVERLAID = ['loss', 'eval_loss'];

/** More runs than these cannot be told apart in a chart. */
const MOST = 5;

/** This run beside others: their curves over each other, where they differ, and what each came to. */
export function Compare(): JSX.Element {
  const { trans } = useApp();
  const { compared: model } = useRun();
  const others = useOtherRuns();
  const chosen = useCompared(picture => picture.others);
  const comparison = useCompared(picture => picture.comparison);
  const problem = useCompared(picture => picture.problem);
  React.useEffect(() => model.follow(), [model]);
  if (others.length === 0) {
    return <p className="jp-Qwen3ft-empty">{trans.__('There is no other fine-tune yet.')}</p>;
  }
  const ids = new Set(chosen.map(({ id }) => id));
  const toggle = (id: string) =>
    void model.choose(others.filter(job => (job.id === id ? !ids.has(id) : ids.has(job.id))));
  return (
    <>
      <fieldset className="jp-Qwen3ft-choices">
        <legend>{trans.__('Compare with')}</legend>
        {others.map(job => (
          <label key={job.id}>
            <input
              type="checkbox"
              checked={ids.has(job.id)}
              disabled={!ids.has(job.id) && ids.size >= MOST}
              onChange={() => toggle(job.id)}
            />
            <span>
              {job.title} <span className="jp-Qwen3ft-meta">{job.id}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {problem && <ProblemAlert problem={problem} />}
      {chosen.length > 0 && <Overlay />}
      {comparison && <Differences />}
    </>
  );
}

/** Apart from the choices, which are drawn again whenever a job moves on. */
const Overlay = React.memo(function Overlay(): JSX.Element {
  const { trans, locale } = useApp();
  const [smoothing, setSmoothing] = React.useState(0.6);
  const { compared: model } = useRun();
  const curves = usePicture(picture => picture.curves);
  const others = useCompared(picture => picture.others);
  const names = useCompared(picture => picture.comparison?.names);
  const range = useCompared(picture => picture.range);
  const details = useCompared(picture => picture.details);
  const whole = React.useMemo(
    () => extent([curves, ...others.map(other => other.curves)].flatMap(overlaidOf)),
    [curves, others]
  );
  const charts = React.useMemo(() => {
    const runs = details ?? [curves, ...others.map(other => other.curves)];
    return OVERLAID.map(name => ({
      name,
      lines: runs.flatMap((one, index): ILine[] => {
        const series = one?.series[name];
        const label = names?.[index] ?? others[index - 1]?.title ?? trans.__('This run');
        const line = series && lineOf(label, series, index, name === 'loss' ? smoothing : 0);
        // So many lines without their faint ones, which would hide each other.
        return line === undefined ? [] : [{ ...line, faint: undefined }];
      })
    })).filter(({ lines }) => lines.length > 0);
  }, [curves, details, others, names, smoothing, trans]);
  return (
    <section className="jp-Qwen3ft-block">
      <h3>{trans.__('Curves')}</h3>
      <div className="jp-Qwen3ft-tools">
        <Smoothing value={smoothing} onChange={setSmoothing} />
        <ZoomButtons whole={whole} range={range} onRange={chosen => model.setRange(chosen)} />
      </div>
      <div className="jp-Qwen3ft-charts jp-mod-overlaid">
        {charts.map(({ name, lines }) => (
          <Chart
            key={name}
            title={metricName(name, trans)}
            lines={lines}
            range={range}
            height={240}
            format={value => metricValue(name, value, locale)}
            onRange={chosen => void model.setRange(chosen)}
          />
        ))}
      </div>
    </section>
  );
});

function overlaidOf(curves: ICurves | null): ReadonlyArray<ISeries> {
  return OVERLAID.flatMap(name => curves?.series[name] ?? []);
}

function Differences(): JSX.Element {
  const { trans, locale } = useApp();
  const { names, fields, numbers } = useCompared(compared);
  return (
    <section className="jp-Qwen3ft-block">
      <h3>{trans.__('Differing settings and results')}</h3>
      <div className="jp-Qwen3ft-tableBox" tabIndex={0} role="group" aria-label={trans.__('Runs')}>
        <table className="jp-Qwen3ft-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Item')}</th>
              {names.map((name, index) => (
                <th key={index} scope="col">
                  <bdi>{name}</bdi>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Object.entries(fields).map(([name, values]) => (
              <tr key={`field ${name}`} className="jp-mod-differs">
                <th scope="row">
                  <code>{name}</code>
                </th>
                {values.map((value, index) => (
                  <td key={index}>
                    <bdi>{written(value)}</bdi>
                  </td>
                ))}
              </tr>
            ))}
            {Object.entries(numbers).map(([name, values]) => (
              <tr key={`number ${name}`}>
                <th scope="row">{metricName(name, trans)}</th>
                {values.map((value, index) => (
                  <td key={index}>{value === null ? '' : metricValue(name, value, locale)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const NONE = { names: [], fields: {}, numbers: {} };

function compared({ comparison }: ICompared): NonNullable<ICompared['comparison']> {
  return comparison ?? NONE;
}
