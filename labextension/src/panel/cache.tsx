import { addIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { FocusKeeper } from '../components/focus';
import { LongList } from '../components/long';
import { ModelName } from '../components/name';
import { PracticeButton } from '../components/practice';
import { reviewAdoption } from '../components/review';
import type { IGroup, Order } from '../domain/cache';
import { grouped, isHere, ORDERS, sorted } from '../domain/cache';
import { CellButtons } from './cells';
import { Copy, copyWords } from './copy';
import { useIsNew } from './firststeps';
import { Moved } from './move';
import { Summary } from './summary';

/** The section that lists what is on disk. */
export function Cache(): JSX.Element {
  const { trans } = useApp();
  const cache = useStore(({ snapshot }) => snapshot.cache);
  const [order, setOrder] = React.useState<Order>('used');
  if (cache === null) {
    return <p className="jp-Qwen3ft-empty">{trans.__('Asking the server…')}</p>;
  }
  const here = sorted(grouped(cache.models.filter(isHere)), order);
  const elsewhere = grouped(cache.models.filter(each => !isHere(each)));
  const known = new Set(here.map(group => group.modelName));
  return (
    <FocusKeeper>
      <Moved cache={cache} />
      {(here.length > 0 || cache.incoming > 0) && <Summary cache={cache} />}
      {here.length > 1 && <OrderSelect order={order} onChange={setOrder} />}
      {here.length > 0 ? (
        <LongList
          label={trans.__('Cache')}
          items={here}
          row={group => <GroupRow key={group.modelName} group={group} canAdopt={false} />}
        />
      ) : (
        <Empty isElsewhere={elsewhere.length > 0} />
      )}
      {elsewhere.length > 0 && (
        <>
          <h3 className="jp-Qwen3ft-heading">{trans.__('Also on this disk')}</h3>
          <LongList
            label={trans.__('Also on this disk')}
            items={elsewhere}
            row={group => (
              <GroupRow key={group.modelName} group={group} canAdopt={!known.has(group.modelName)} />
            )}
          />
        </>
      )}
    </FocusKeeper>
  );
}

interface IOrderProps {
  readonly order: Order;
  readonly onChange: (order: Order) => void;
}

function OrderSelect({ order, onChange }: IOrderProps): JSX.Element {
  const { trans } = useApp();
  const words: Record<Order, string> = {
    used: trans.__('Used last first'),
    size: trans.__('Largest first'),
    name: trans.__('By name')
  };
  return (
    <div className="jp-Qwen3ft-order">
      <select
        className="jp-mod-styled"
        value={order}
        aria-label={trans.__('Order of the cache')}
        onChange={event => onChange(ORDERS.find(each => each === event.target.value) ?? 'used')}
      >
        {ORDERS.map(each => (
          <option key={each} value={each}>
            {words[each]}
          </option>
        ))}
      </select>
    </div>
  );
}

/** What to do when nothing is cached: also on a machine that reaches no hub. */
function Empty({ isElsewhere }: { readonly isElsewhere: boolean }): JSX.Element {
  const { trans } = useApp();
  const isTold = useIsNew();
  return (
    <div className="jp-Qwen3ft-empty">
      <p>
        {isElsewhere
          ? trans.__('No model is in this cache yet. What other tools have on this disk is listed below.')
          : trans.__('No model is on this disk yet. Download one above; it will be here, ready to load.')}
      </p>
      {!isTold && (
        <>
          <p>
            {trans.__(
              'Then right-click a file of your data in the file browser to fine-tune the model on it. The practice model is small enough to try all of that in a minute.'
            )}
          </p>
          <PracticeButton />
        </>
      )}
    </div>
  );
}

interface IGroupProps {
  readonly group: IGroup;
  /** Whether another tool has it and our cache has not. */
  readonly canAdopt: boolean;
}

/** A model and its copies; one copy needs no heading of its own. */
function GroupRow({ group, canAdopt }: IGroupProps): JSX.Element {
  const app = useApp();
  const { modelName, copies } = group;
  const buttons = (
    <>
      <CellButtons modelName={modelName} />
      {canAdopt && <AdoptButton group={group} />}
    </>
  );
  if (copies.length === 1) {
    return (
      <li className="jp-Qwen3ft-row">
        <Copy entry={copies[0]} head={<ModelName name={modelName} />} isOneOfMany={false}>
          {buttons}
        </Copy>
      </li>
    );
  }
  return (
    <li className="jp-Qwen3ft-row">
      <ModelName name={modelName} />
      <ul className="jp-Qwen3ft-copies" aria-label={app.trans.__('Copies of %1', modelName)}>
        {copies.map(each => (
          // A shared folder may hold a model that our own has too.
          <li key={each.path || each.slug}>
            <Copy
              entry={each}
              head={<span className="jp-Qwen3ft-copyName">{copyWords(each)}</span>}
              isOneOfMany
            />
          </li>
        ))}
      </ul>
      <div className="jp-Qwen3ft-actions">{buttons}</div>
    </li>
  );
}

/** The button that takes into our cache what another tool has: that costs room, and what differs is downloaded. */
function AdoptButton({ group }: { readonly group: IGroup }): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const { modelName, copies } = group;
  return (
    <ActionButton
      icon={addIcon}
      label={trans.__('Adopt into this cache…')}
      description={trans.__(
        'Adopt into this cache… %1: first shows what is taken from this disk and what is downloaded',
        modelName
      )}
      isBusy={useStore(each => each.isDownloading(modelName))}
      onClick={() => void reviewAdoption(app, modelName, copies)}
    />
  );
}
