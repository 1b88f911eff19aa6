import type { CommandRegistry } from '@lumino/commands';
import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { CommandIDs } from '../domain/commands';
import { formatBytes, formatContext, formatParameters } from '../domain/format';
import { infoIcon } from '../components/icons';
import { isActive } from '../domain/jobs';
import { RunningJob } from '../components/running';
import type { PanelModel } from '../state/store';
import { ProblemAlert } from '../components/alert';
import { Badge } from '../components/badge';
import { ActionButton } from '../components/button';
import { ModelName } from '../components/name';
import type { Pair } from '../domain/words';
import { Pairs } from '../components/pairs';
import { PracticeHint } from '../components/practice';
import { VerifiedBadge } from '../components/verified';
import { reviewDownload } from './review';
import type { IJob, IModel, IProblem } from '../api/types';
import type { ILanguage } from '../domain/words';
import { kindWord, noteWords, resumeWord, resumeWords, roleWord } from '../domain/words';
import { isPractice } from '../domain/models';

/** One model: what it is, how large, and what can be done with it now. */
export function ModelRow(props: ModelRow.IProps): JSX.Element {
  const { entry, model, language, commands } = props;
  const { trans } = language;
  const [isOpen, setOpen] = React.useState(false);
  const job = model.downloadOf(entry.model_name);
  const isDownloading = job !== null && isActive(job);
  return (
    <li className="jp-Qwen3ft-row">
      <div className="jp-Qwen3ft-rowHead">
        <ModelName name={entry.model_name} />
        {entry.cached && <CachedBadge entry={entry} language={language} />}
        {!entry.cached && !isDownloading && (
          <span className="jp-Qwen3ft-tools">
            <PlanButton modelName={entry.model_name} model={model} language={language} />
            <DownloadButton {...props} job={job} />
          </span>
        )}
      </div>
      <div className="jp-Qwen3ft-rowFacts">
        <span className="jp-Qwen3ft-meta">{facts(entry, language).join(' · ')}</span>
        <ActionButton
          look="link"
          label={trans.__('Details')}
          description={trans.__('Details of %1', entry.model_name)}
          isExpanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        />
      </div>
      {isOpen && <Details entry={entry} language={language} />}
      <Badges entry={entry} language={language} />
      {isDownloading && <RunningJob job={job} model={model} language={language} />}
      {!entry.cached && job?.error && <Failed {...props} job={job} problem={job.error} />}
      {entry.cached && (
        <div className="jp-Qwen3ft-actions">
          <CellButtons modelName={entry.model_name} commands={commands} language={language} />
        </div>
      )}
    </li>
  );
}

/** A namespace for `ModelRow` statics. */
export namespace ModelRow {
  /** The properties of a row. */
  export interface IProps {
    readonly entry: IModel;
    readonly model: PanelModel;
    readonly language: ILanguage;
    readonly commands: CommandRegistry;
  }
}

/** The buttons that put code into the notebook; none where the commands are switched off. */
export function CellButtons(props: CellButtons.IProps): JSX.Element | null {
  const { modelName, commands, language } = props;
  const { trans } = language;
  if (!commands.hasCommand(CommandIDs.insertLoadCell)) {
    return null;
  }
  return (
    <>
      <ActionButton
        label={trans.__('Load')}
        description={trans.__('Load %1: put the code into the notebook', modelName)}
        onClick={() => void commands.execute(CommandIDs.insertLoadCell, { modelName })}
      />
      <ActionButton
        label={trans.__('Fine-tune')}
        description={trans.__('Fine-tune %1: put the code into the notebook', modelName)}
        onClick={() => void commands.execute(CommandIDs.insertFineTuneCells, { modelName })}
      />
    </>
  );
}

/** A namespace for `CellButtons` statics. */
export namespace CellButtons {
  /** The properties of the buttons. */
  export interface IProps {
    readonly modelName: string;
    readonly commands: CommandRegistry;
    readonly language: ILanguage;
  }
}

/** The button that shows what a download would do, before its first byte. */
export function PlanButton({ modelName, model, language, isDisabled }: PlanButton.IProps): JSX.Element {
  const { trans } = language;
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
      isBusy={model.isPending(modelName)}
      isDisabled={isDisabled}
      onClick={() => void reviewDownload(model, modelName, {}, language)}
    />
  );
}

/** A namespace for `PlanButton` statics. */
export namespace PlanButton {
  /** The properties of the button. */
  export interface IProps {
    /** Empty until a name has been typed. */
    readonly modelName: string;
    readonly model: PanelModel;
    readonly language: ILanguage;
    readonly isDisabled?: boolean;
  }
}

/** The kind that most models are of; it goes without saying. */
const PLAIN_KIND = 'hybrid';

interface IEntryProps {
  readonly entry: IModel;
  readonly language: ILanguage;
}

type RowProps = ModelRow.IProps & { readonly job: IJob | null };

function DownloadButton({ entry, model, language, job }: RowProps): JSX.Element {
  const { trans } = language;
  const name = entry.model_name;
  return (
    <ActionButton
      icon={downloadIcon}
      look={entry.role && !isPractice(entry) ? 'primary' : 'plain'}
      label={job ? resumeWord(job, trans) : trans.__('Download')}
      description={job ? resumeWords(job, name, trans) : trans.__('Download %1', name)}
      isBusy={model.isPending(name) || (job !== null && model.isPending(job.id))}
      onClick={() => void (job ? model.resume(job) : model.download(name))}
    />
  );
}

/** That a download failed, in a few words: the job's card has them all. */
function Failed(props: ModelRow.IProps & { readonly job: IJob; readonly problem: IProblem }): JSX.Element {
  const { model, language, job, problem } = props;
  return (
    <ProblemAlert isShort problem={problem} language={language} onDismiss={() => void model.forget(job)}>
      <PracticeHint problem={problem} model={model} language={language} />
    </ProblemAlert>
  );
}

function CachedBadge({ entry, language }: IEntryProps): JSX.Element {
  const { trans } = language;
  return (
    <VerifiedBadge
      isVerified={entry.verified}
      word={trans.__('Cached')}
      title={trans.__('On this disk; every file has the digest that the hub published')}
      doubt={trans.__('On this disk, not checked yet; it will be when it is used')}
      language={language}
    />
  );
}

function Badges({ entry, language }: IEntryProps): JSX.Element {
  const { trans } = language;
  const role = roleWord(entry.role, trans) || entry.badge;
  return (
    <div className="jp-Qwen3ft-badges">
      {role && <Badge look={isPractice(entry) ? 'plain' : 'recommended'}>{role}</Badge>}
      {entry.kind !== PLAIN_KIND && entry.kind && <Badge>{kindWord(entry.kind, trans)}</Badge>}
      {!entry.catalogued && !isPractice(entry) && <Badge>{trans.__('Not in the catalogue')}</Badge>}
    </div>
  );
}

function Details({ entry, language }: IEntryProps): JSX.Element {
  const { trans, locale } = language;
  const { load, lora, full } = entry.memory_bytes;
  const rows: ReadonlyArray<Pair> = [
    [trans.__('Memory to load'), load === null ? '' : formatBytes(load, locale)],
    [trans.__('Memory for LoRA'), lora === null ? '' : formatBytes(lora, locale)],
    [trans.__('Memory for full fine-tuning'), full === null ? '' : formatBytes(full, locale)],
    [trans.__('Kind'), kindWord(entry.kind, trans)],
    [trans.__('Licence'), entry.license]
  ];
  const known = rows.filter(([, value]) => value !== '');
  return (
    <div className="jp-Qwen3ft-details">
      {entry.note && <p>{noteWords(entry.note, trans)}</p>}
      {known.length === 0 && !entry.note && <p>{trans.__('The catalogue knows nothing of this model.')}</p>}
      <Pairs pairs={known} />
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
