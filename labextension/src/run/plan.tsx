import * as React from 'react';

import type { IProblem } from '../api/answers';
import type { Afterwards } from '../api/client';
import { toProblem } from '../api/request';
import type { IForeseen } from '../api/runs';
import { useApp } from '../components/context';
import { formatBytes } from '../domain/format';
import type { ILanguage, Pair } from '../domain/language';

/** What is asked of the server: fields of a request; an empty one is left out. */
export type Fields = Readonly<Record<string, string | boolean>>;

/** While somebody types, the plan is asked for after a pause. */
const PAUSE_MS = 400;

/** A plan, or why there is none. */
export interface IPlanState {
  readonly plan: IForeseen | null;
  readonly problem: IProblem | null;
}

/** What a merge, an export or an evaluation with these fields would be; asked for again when they change. */
export function usePlan(what: Afterwards, fields: Fields): IPlanState {
  const { store } = useApp();
  const [state, setState] = React.useState<IPlanState>({ plan: null, problem: null });
  const asked = JSON.stringify(given(fields));
  React.useEffect(() => {
    let isOver = false;
    setState({ plan: null, problem: null });
    const timer = setTimeout(
      () =>
        void store.client
          .foresee(what, JSON.parse(asked))
          .then(plan => !isOver && setState({ plan, problem: null }))
          .catch(error => !isOver && setState({ plan: null, problem: toProblem(error) })),
      PAUSE_MS
    );
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [store, what, asked]);
  return state;
}

/** The fields of a request that say something. */
export function given(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '' && value !== false));
}

/** A plan in words: what is written, where, how large it is, and who sees it. */
export function planPairs(plan: IForeseen, { trans, locale }: ILanguage): ReadonlyArray<Pair> {
  const pairs: ReadonlyArray<Pair> = [
    [trans.__('Base model'), plan.model_name],
    [trans.__('Goes to'), plan.folder],
    [trans.__('Adapter'), adapterWords(plan, trans)],
    [trans.__('Is written'), writtenWords(plan, { trans, locale })],
    [
      trans.__('Measured on'),
      plan.is_held_out ? trans.__('the rows kept out of training') : plan.data.join(', ')
    ],
    [trans.__('Seen by'), trans.__('nobody else: it stays on this machine')]
  ];
  return pairs.filter(
    ([label, value]) => value !== '' && (label !== trans.__('Measured on') || plan.data.length > 0)
  );
}

function adapterWords({ merges, is_done: isDone }: IForeseen, trans: ILanguage['trans']): string {
  if (isDone) {
    return trans.__('merged before; that model is taken');
  }
  return merges ? trans.__('is merged into the base model') : '';
}

function writtenWords(plan: IForeseen, { trans, locale }: ILanguage): string {
  if (plan.folder === '' || plan.free_bytes === null) {
    return plan.folder === '' ? '' : trans.__('nothing: the model is used where it is');
  }
  const [size, free] = [formatBytes(plan.size_bytes, locale), formatBytes(plan.free_bytes, locale)];
  return plan.size_bytes > 0
    ? trans.__('about %1; %2 are free there', size, free)
    : trans.__('a small file; %1 are free there', free);
}
