import * as React from 'react';

import { useApp } from '../components/context';
import { formatShare } from '../domain/format';
import { metricName, metricValue } from '../domain/metrics';
import { plannedAndActual } from '../domain/outcome';
import { usePicture } from './context';

/** What was planned beside what it came to; of a run that is not finished, so far. */
export function Outcome(): JSX.Element | null {
  const { trans, locale } = useApp();
  const run = usePicture(picture => picture.run);
  const curves = usePicture(picture => picture.curves);
  const rows = React.useMemo(() => (run === null ? [] : plannedAndActual(run, curves)), [run, curves]);
  if (rows.length === 0) {
    return null;
  }
  const value = (name: string, one: number | null) =>
    one === null
      ? trans.__('unknown')
      : metricValue(name === 'memory_bytes' ? 'peak_bytes' : name, one, locale);
  return (
    <section className="jp-Qwen3ft-block">
      <h3>{trans.__('Planned and actual')}</h3>
      <div
        className="jp-Qwen3ft-tableBox"
        tabIndex={0}
        role="group"
        aria-label={trans.__('Planned and actual')}
      >
        <table className="jp-Qwen3ft-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Item')}</th>
              <th scope="col">{trans.__('Planned')}</th>
              <th scope="col">{run?.result ? trans.__('Actual') : trans.__('So far')}</th>
              <th scope="col">{trans.__('Of the plan')}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ name, planned, actual }) => (
              <tr key={name}>
                <th scope="row">{metricName(name === 'memory_bytes' ? 'peak_bytes' : name, trans)}</th>
                <td>{value(name, planned)}</td>
                <td>{value(name, actual)}</td>
                <td>{planned === null || actual === null ? '' : formatShare(actual, planned, locale)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
