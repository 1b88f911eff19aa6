import * as React from 'react';

import type { IJob } from '../api/answers';
import { text } from '../api/read';
import { formatBytes, formatShare } from '../domain/format';
import { hubName } from '../domain/names';
import type { IShare } from '../domain/result';
import { shares } from '../domain/result';
import { StackBar } from './bar';
import { useApp } from './context';

/** Colours there are for sources; more than these are rare and share the last. */
const SERIES = 5;

/** Where the bytes of a download came from; nothing where all came from the hub, as one expects. */
export function Sources({ job }: { readonly job: IJob }): JSX.Element | null {
  const { trans, locale } = useApp();
  const parts = shares(job, trans);
  if (parts.length === 0 || isPlain(parts, job)) {
    return null;
  }
  const whole = parts.reduce((sum, part) => sum + part.bytes, 0);
  return (
    <div className="jp-Qwen3ft-sources">
      <StackBar parts={parts.map(({ bytes }, index) => ({ size: bytes, look: look(index) }))} whole={whole} />
      <ul aria-label={trans.__('Sources')}>
        {parts.map(({ name, bytes }, index) => (
          <li key={name}>
            <span className={`jp-Qwen3ft-series jp-mod-${look(index)}`} aria-hidden="true" />
            <span className="jp-Qwen3ft-sourceName">{name}</span>
            <span>
              {formatBytes(bytes, locale)} · {formatShare(bytes, whole, locale)}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function isPlain(parts: ReadonlyArray<IShare>, job: IJob): boolean {
  return parts.length === 1 && parts[0].name === hubName(text(job.result?.hub));
}

function look(index: number): string {
  return `series${Math.min(index, SERIES - 1)}`;
}
