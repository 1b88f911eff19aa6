import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IJob, IModel } from '../api/answers';
import type { IDownloadOptions } from '../api/client';
import { ProblemAlert } from '../components/alert';
import { Badge, VerifiedBadge } from '../components/badge';
import { ActionButton } from '../components/button';
import { useApp, usePending, useStore } from '../components/context';
import { infoIcon } from '../components/icons';
import { ModelName } from '../components/name';
import { PracticeHint } from '../components/practice';
import { RunningJob } from '../components/progress';
import { formatBytes, formatContext, formatParameters } from '../domain/format';
import { isActive } from '../domain/jobs';
import type { ILanguage } from '../domain/language';
import { isPractice } from '../domain/models';
import { mainCopy } from '../domain/updates';
import { resumeWord, resumeWords } from '../domain/words';
import { CellButtons } from './cells';
import { Details } from './details';
import { FitBadge } from './fit';
import { UpdateButton } from './updates';
import { reviewDownload } from '../components/review';

interface IEntryProps {
  readonly entry: IModel;
}

/** One model: what it is, how large, and what can be done with it now. Drawn again only when that changed. */
export const ModelRow = React.memo(function ModelRow({ entry }: IEntryProps): JSX.Element {
  const app = useApp();
  const { store, trans } = app;
  const [isOpen, setOpen] = React.useState(false);
  const job = useStore(each => each.downloadOf(entry.model_name));
  const isDownloading = job !== null && isActive(job);
  return (
    <li className="jp-Qwen3ft-row">
      <div className="jp-Qwen3ft-rowHead">
        <ModelName name={entry.model_name} />
        {entry.cached && (
          <VerifiedBadge
            isVerified={entry.verified}
            word={trans.__('Cached')}
            title={trans.__('On this disk; every file has the digest that the hub published')}
            doubt={trans.__('On this disk, not checked yet; it will be when it is used')}
          />
        )}
        {!entry.cached && !isDownloading && (
          <span className="jp-Qwen3ft-tools">
            <PlanButton modelName={entry.model_name} />
            <DownloadButton entry={entry} job={job} />
          </span>
        )}
      </div>
      <div className="jp-Qwen3ft-rowFacts">
        <span className="jp-Qwen3ft-meta">{facts(entry, app).join(' · ')}</span>
        <ActionButton
          look="link"
          label={trans.__('Details')}
          description={trans.__('Details of %1', entry.model_name)}
          isExpanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        />
      </div>
      {isOpen && <Details entry={entry} />}
      <Badges entry={entry} />
      {isDownloading && <RunningJob job={job} />}
      {!entry.cached && job?.error && (
        // In a few words: the job's card has them all.
        <ProblemAlert isShort problem={job.error} onDismiss={() => void store.actions.forget(job)}>
          <PracticeHint problem={job.error} />
        </ProblemAlert>
      )}
      {entry.cached && (
        <div className="jp-Qwen3ft-actions">
          <CellButtons modelName={entry.model_name} />
        </div>
      )}
    </li>
  );
});

interface IPlanProps {
  /** Empty until a name has been typed. */
  readonly modelName: string;
  readonly options?: IDownloadOptions;
  readonly isDisabled?: boolean;
  /** What it does where the name has to be read first. */
  readonly onClick?: () => void;
}

/** The button that shows what a download would do, before its first byte. */
export function PlanButton({ modelName, options = {}, isDisabled, onClick }: IPlanProps): JSX.Element {
  const app = useApp();
  const { trans } = app;
  return (
    <ActionButton
      icon={infoIcon}
      isIconOnly
      label={trans.__('Before the download')}
      description={
        modelName === ''
          ? undefined
          : trans.__('Before the download of %1: what travels, from where, and whether it fits', modelName)
      }
      isBusy={usePending(modelName)}
      isDisabled={isDisabled}
      onClick={onClick ?? (() => void reviewDownload(app, modelName, options))}
    />
  );
}

/** The kind that most models are of; it goes without saying. */
const PLAIN_KIND = 'hybrid';

function DownloadButton({ entry, job }: IEntryProps & { readonly job: IJob | null }): JSX.Element {
  const { store, trans } = useApp();
  const name = entry.model_name;
  return (
    <ActionButton
      icon={downloadIcon}
      look={entry.role && !isPractice(entry) ? 'primary' : 'plain'}
      label={job ? resumeWord(job, trans) : trans.__('Download')}
      description={job ? resumeWords(job, name, trans) : trans.__('Download %1', name)}
      isBusy={usePending(name, job?.id ?? name)}
      onClick={() =>
        void (job
          ? store.actions.control(job, client => client.resume(job.id))
          : store.actions.download(name))
      }
    />
  );
}

function Badges({ entry }: IEntryProps): JSX.Element {
  const { trans } = useApp();
  const role = entry.role_words || entry.badge;
  const copy = useStore(({ snapshot }) => mainCopy(snapshot.cache, entry.model_name));
  return (
    <div className="jp-Qwen3ft-badges">
      {copy && <UpdateButton copy={copy} />}
      {role && <Badge look={isPractice(entry) ? 'plain' : 'recommended'}>{role}</Badge>}
      {entry.kind !== PLAIN_KIND && entry.kind && <Badge>{entry.kind_words}</Badge>}
      {!entry.catalogued && !isPractice(entry) && <Badge>{trans.__('Not in the catalogue')}</Badge>}
      <FitBadge entry={entry} />
    </div>
  );
}

function facts(entry: IModel, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const bytes = entry.cached ? (entry.size ?? entry.download_bytes) : entry.download_bytes;
  return [
    entry.parameters === null ? '' : formatParameters(entry.parameters, locale),
    bytes === null ? '' : formatBytes(bytes, locale),
    entry.context === null ? '' : trans.__('%1 context', formatContext(entry.context, locale))
  ].filter(fact => fact !== '');
}
