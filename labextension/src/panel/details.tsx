import * as React from 'react';

import type { IModel } from '../api/answers';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { Pairs } from '../components/pairs';
import { isHere } from '../domain/cache';
import { formatAgo, formatBytes, formatDuration, formatRate } from '../domain/format';
import type { Pair } from '../domain/language';
import { isPractice } from '../domain/models';
import { hubName } from '../domain/names';
import { measuredRates } from '../domain/rates';
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
  const { trans } = useApp();
  const [license, setLicense] = React.useState('');
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
      <FilesFold entry={entry} />
      {!isPractice(entry) && <SourceRates />}
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

/** How fast each source was when it was last used. */
function SourceRates(): JSX.Element {
  const { trans, locale } = useApp();
  const jobs = useStore(({ snapshot }) => snapshot.jobs);
  const measured = React.useMemo(() => measuredRates(jobs), [jobs]);
  const names = measured.map(({ name }) => name);
  const others = HUBS.map(hubName).filter(name => !names.includes(name));
  const now = Date.now() / 1000;
  const pairs: ReadonlyArray<Pair> = [
    ...measured.map(({ name, bytes, seconds, rate, ended }): Pair => {
      const part = trans.__('%1 in %2', formatBytes(bytes, locale), formatDuration(seconds, locale));
      const ago = ended === null ? '' : formatAgo(ended, now, locale);
      return [name, [formatRate(rate, locale), part, ago].filter(word => word !== '').join(' · ')];
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
