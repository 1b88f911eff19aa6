import * as React from 'react';

import type { IJob, IModel } from '../api/answers';
import type { ISourceRate } from '../api/details';
import { useAsked } from '../components/asked';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { Pairs } from '../components/pairs';
import { isHere } from '../domain/cache';
import { formatAgo, formatBytes, formatDuration, formatRate } from '../domain/format';
import type { Pair } from '../domain/language';
import { isPractice } from '../domain/models';
import { hubName } from '../domain/names';
import { mainCopy } from '../domain/updates';
import { CardFold } from './card';
import { FilesFold } from './files';
import { FitTable } from './fit';
import { placeItem } from './place';

/** The hubs that a model may come from. */
const HUBS = ['modelscope', 'huggingface'];

interface IEntryProps {
  readonly entry: IModel;
}

/** What is known of a model beyond its row. */
export function Details({ entry }: IEntryProps): JSX.Element {
  const { store, trans } = useApp();
  const { model_name: name, cached } = entry;
  const [license, setLicense] = React.useState('');
  const local = useAsked(signal => store.client.details(name, false, signal));
  const commit = useStore(({ snapshot }) => mainCopy(snapshot.cache, name)?.commit);
  const ended = useStore(({ snapshot }) => lastDownload(snapshot.jobs));
  // What is in the cache changes with downloads, updates and deletions; rates with any download.
  React.useEffect(() => local.ask(), [name, cached, commit, ended]);
  const rows: ReadonlyArray<Pair> = [
    [trans.__('Kind'), entry.kind_words],
    [trans.__('Licence'), entry.license || license]
  ];
  const known = rows.filter(([, value]) => value !== '');
  return (
    <div className="jp-Qwen3ft-details">
      {entry.note && <p>{entry.note}</p>}
      {known.length === 0 && !entry.note && <p>{trans.__('The catalogue knows nothing of this model.')}</p>}
      {known.length > 0 && <Pairs pairs={known} />}
      <Place modelName={entry.model_name} />
      <FitTable entry={entry} />
      <FilesFold entry={entry} local={local} />
      {!isPractice(entry) && <SourceRates sources={local.value?.sources ?? []} />}
      <CardFold entry={entry} onLicense={setLicense} />
    </div>
  );
}

/** Where the model lies, if it is on this disk. */
function Place({ modelName }: { readonly modelName: string }): JSX.Element | null {
  const app = useApp();
  const copy = useStore(({ snapshot }) =>
    snapshot.cache?.models.find(each => each.model_name === modelName && isHere(each))
  );
  const item = copy === undefined ? null : placeItem(copy, app);
  return (
    item && (
      <ActionButton
        label={item.label}
        description={app.trans.__('%1: %2', item.label, modelName)}
        onClick={item.onClick}
      />
    )
  );
}

/** When the latest download ended that is listed. */
function lastDownload(jobs: ReadonlyArray<IJob>): number {
  return Math.max(0, ...jobs.map(({ kind, ended }) => (kind === 'download' ? (ended ?? 0) : 0)));
}

interface ISourceRatesProps {
  readonly sources: ReadonlyArray<ISourceRate>;
}

/** How fast each source was when it was last used. */
function SourceRates({ sources }: ISourceRatesProps): JSX.Element {
  const { trans, locale } = useApp();
  const names = sources.map(({ name }) => name);
  const others = HUBS.map(hubName).filter(name => !names.includes(name));
  const now = Date.now() / 1000;
  const pairs: ReadonlyArray<Pair> = [
    ...sources.map(({ name, bytes, seconds, rate, ended }): Pair => {
      const part = trans.__('%1 in %2', formatBytes(bytes, locale), formatDuration(seconds, locale));
      return [name, [formatRate(rate, locale), part, formatAgo(ended, now, locale)].join(' · ')];
    }),
    ...others.map((name): Pair => [name, trans.__('not measured yet')])
  ];
  return (
    <>
      <h4 className="jp-Qwen3ft-heading">{trans.__('Sources, as measured in downloads')}</h4>
      <Pairs pairs={pairs} />
    </>
  );
}
