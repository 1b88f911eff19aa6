import * as React from 'react';

import type { IJob } from '../api/answers';
import { formatShare } from '../domain/format';
import { isActive } from '../domain/jobs';
import { together } from '../domain/ranks';
import { useApp } from './context';

/** The processes that work together for a job, a row each, and how well they do; nothing of a job of one. */
export function RankTable({ job }: { readonly job: IJob }): JSX.Element | null {
  const app = useApp();
  const { trans, locale } = app;
  if (job.ranks === null || job.ranks.ranks.length === 0) {
    return null;
  }
  const { ranks } = job.ranks;
  const words = together(job.ranks, app).join(' · ');
  const hasHosts = ranks.some(({ host }) => host !== '');
  const share = (value: number | null) => (value === null ? '' : formatShare(value, 1, locale));
  return (
    <section className="jp-Qwen3ft-ranks">
      {words !== '' && <div className="jp-Qwen3ft-meta">{words}</div>}
      <div
        className="jp-Qwen3ft-tableBox"
        tabIndex={0}
        role="group"
        aria-label={trans.__('Processes that train together')}
      >
        <table className="jp-Qwen3ft-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Process')}</th>
              {hasHosts && <th scope="col">{trans.__('Host')}</th>}
              <th scope="col">{trans.__('Device')}</th>
              <th scope="col">{trans.__('State')}</th>
              <th scope="col">{trans.__('Share of the tokens')}</th>
              <th scope="col">{trans.__('Time computing')}</th>
            </tr>
          </thead>
          <tbody>
            {ranks.map(({ rank, host, device, health, health_words, work, busy }) => (
              <tr key={rank}>
                <th scope="row">{rank}</th>
                {hasHosts && <td>{host}</td>}
                <td>{device}</td>
                <td>{isActive(job) || health === 'gone' ? health_words : ''}</td>
                <td>{share(work)}</td>
                <td>{share(busy)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
