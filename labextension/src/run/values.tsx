import { Clipboard } from '@jupyterlab/apputils';
import * as React from 'react';

import type { ICurves } from '../api/runs';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import type { IRow } from '../domain/curves';
import { extent, rowsOf } from '../domain/curves';
import { formatCount } from '../domain/format';
import { metricName, metricValue } from '../domain/metrics';
import { usePicture } from './context';

/** So many rows can be read; more steps are had by zooming in. */
const ROWS = 100;

/** Enough for every point that is drawn. */
const COPIED_ROWS = 5000;

/** What the charts show, as text: for who cannot see them, and for a spreadsheet. */
export function Values({ curves }: { readonly curves: ICurves }): JSX.Element {
  const { trans, locale } = useApp();
  const range = usePicture(picture => picture.range);
  const detail = usePicture(picture => picture.detail);
  const { series } = detail ?? curves;
  const names = Object.keys(series);
  const part = range ?? extent(Object.values(series)) ?? { first: 0, last: 0 };
  const all = names.map(name => series[name]);
  const rows = rowsOf(all, part, ROWS);
  return (
    <>
      <div className="jp-Qwen3ft-actions">
        <p className="jp-Qwen3ft-meta">
          {trans._n(
            '%1 step, evenly spread from %2 to %3; zoom in for more of them.',
            '%1 steps, evenly spread from %2 to %3; zoom in for more of them.',
            rows.length,
            formatCount(part.first, locale),
            formatCount(part.last, locale)
          )}
        </p>
        <ActionButton
          label={trans.__('Copy as CSV')}
          onClick={() => Clipboard.copyToSystem(toCsv(names, rowsOf(all, part, COPIED_ROWS)))}
        />
      </div>
      <div
        className="jp-Qwen3ft-tableBox"
        tabIndex={0}
        role="group"
        aria-label={trans.__('Values of the curves')}
      >
        <table className="jp-Qwen3ft-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Step')}</th>
              {names.map(name => (
                <th key={name} scope="col">
                  {metricName(name, trans)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ step, values }) => (
              <tr key={step}>
                <th scope="row">{formatCount(step, locale)}</th>
                {values.map((value, column) => (
                  <td key={names[column]}>
                    {value === null ? '' : metricValue(names[column], value, locale)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Names and numbers hold no comma and no quote that another program could take for its own. */
function toCsv(names: ReadonlyArray<string>, rows: ReadonlyArray<IRow>): string {
  const head = ['step', ...names.map(name => name.replace(/[",\r\n]/g, '_'))];
  const lines = rows.map(({ step, values }) => [step, ...values.map(value => value ?? '')]);
  return [head, ...lines].map(cells => cells.join(',')).join('\n');
}
