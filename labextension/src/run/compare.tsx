import * as React from 'react';

import { useApp } from '../components/context';
import { written } from '../domain/fields';
import { metricName, metricValue } from '../domain/metrics';
import type { IRunPicture } from '../state/picture';
import { Chart } from './chart';
import { useOtherRuns } from './config';
import { usePicture, useRun } from './context';
import { lineOf, Smoothing } from './curves';
import type { ILine } from './plot';

/** Which curves are laid over each other. */
const OVERLAID = ['loss', 'eval_loss'];

/** More runs than these cannot be told apart in a chart. */
const MOST = 5;

/** This run beside others: their curves over each other, where they differ, and what each came to. */
export function Compare(): JSX.Element {
  const { trans } = useApp();
  const model = useRun();
  const others = useOtherRuns();
  const chosen = usePicture(picture => picture.others);
  const comparison = usePicture(picture => picture.comparison);
  if (others.length === 0) {
    return <p className="jp-Qwen3ft-empty">{trans.__('There is no other fine-tune yet.')}</p>;
  }
  const ids = new Set(chosen.map(({ id }) => id));
  const toggle = (id: string) =>
    void model.compareWith(others.filter(job => (job.id === id ? !ids.has(id) : ids.has(job.id))));
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
      {chosen.length > 0 && <Overlay />}
      {comparison && <Differences />}
    </>
  );
}

/** Apart from the choices, which are drawn again whenever a job moves on. */
const Overlay = React.memo(function Overlay(): JSX.Element {
  const { trans, locale } = useApp();
  const [smoothing, setSmoothing] = React.useState(0.6);
  const curves = usePicture(picture => picture.curves);
  const others = usePicture(picture => picture.others);
  const names = usePicture(picture => picture.comparison?.names);
  const charts = React.useMemo(() => {
    const runs = [curves, ...others.map(other => other.curves)];
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
  }, [curves, others, names, smoothing, trans]);
  return (
    <section className="jp-Qwen3ft-block">
      <h3>{trans.__('Curves')}</h3>
      <div className="jp-Qwen3ft-tools">
        <Smoothing value={smoothing} onChange={setSmoothing} />
      </div>
      <div className="jp-Qwen3ft-charts jp-mod-overlaid">
        {charts.map(({ name, lines }) => (
          <Chart
            key={name}
            title={metricName(name, trans)}
            lines={lines}
            range={null}
            height={240}
            format={value => metricValue(name, value, locale)}
            onRange={() => undefined}
          />
        ))}
      </div>
    </section>
  );
});

function Differences(): JSX.Element {
  const { trans, locale } = useApp();
  const { names, fields, numbers } = usePicture(compared);
  return (
    <section className="jp-Qwen3ft-block">
      <h3>{trans.__('Differing settings and results')}</h3>
      <div className="jp-Qwen3ft-tableBox" tabIndex={0} role="group" aria-label={trans.__('Runs')}>
        <table className="jp-Qwen3ft-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('What')}</th>
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

function compared({ comparison }: IRunPicture): NonNullable<IRunPicture['comparison']> {
  return comparison ?? NONE;
}
