import * as React from 'react';

import type { IDownloadPlan, IPlannedFile } from '../api/answers';
import { Alert } from './alert';
import { useApp } from './context';
import { FileTable } from './files';
import { Pairs } from './pairs';
import { formatBytes } from '../domain/format';
import { actionWords, hasRoom, planWords } from '../domain/plan';

interface IPlanProps {
  readonly plan: IDownloadPlan;
}

/** What a download would do: in whole, what stands in its way, and file by file. */
export function PlanView({ plan }: IPlanProps): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const changed = plan.files.filter(file => file.action !== 'kept');
  const kept = plan.files.length - changed.length;
  return (
    <div className="jp-Qwen3ft-plan">
      {!hasRoom(plan) && <NoRoom plan={plan} />}
      {plan.to_evict.length > 0 && (
        <Alert look="warning" title={trans.__('To make room, the models used longest ago are deleted')}>
          <p>{plan.to_evict.join(', ')}</p>
        </Alert>
      )}
      <Pairs className="jp-Qwen3ft-result" pairs={planWords(plan, app)} />
      {changed.length > 0 && <Files files={changed} />}
      {kept > 0 && <p>{trans._n('%1 file stays as it is', '%1 files stay as they are', kept)}</p>}
    </div>
  );
}

function NoRoom({ plan }: IPlanProps): JSX.Element {
  const { trans, locale } = useApp();
  if (plan.missing_bytes === 0) {
    // The quota is exceeded by this much after everything that may be deleted is.
    return (
      <Alert title={trans.__('Over the quota by %1', formatBytes(plan.over_quota_bytes, locale))}>
        <p>
          {trans.__(
            'That is so even if every model goes that is neither pinned nor in use. Raise MODEL_CACHE_QUOTA, or unpin a model.'
          )}
        </p>
      </Alert>
    );
  }
  return (
    <Alert title={trans.__('Not enough room: %1 are missing', formatBytes(plan.missing_bytes, locale))}>
      {plan.evictable.length > 0 && (
        <>
          <p>{trans.__('You could delete:')}</p>
          <ul>
            {plan.evictable.map(({ name, size }) => (
              <li key={name}>
                {name} · {formatBytes(size, locale)}
              </li>
            ))}
          </ul>
        </>
      )}
    </Alert>
  );
}

function Files({ files }: { readonly files: ReadonlyArray<IPlannedFile> }): JSX.Element {
  const app = useApp();
  const { trans } = app;
  return (
    <FileTable
      label={trans.__('Files')}
      files={files}
      title={trans.__('What happens')}
      cell={file => actionWords(file, app)}
    />
  );
}
