import * as React from 'react';

import { ActionButton } from './button';
import { useApp } from './context';

/** So many rows more than fill a panel; hundreds at once would make the page slow. */
const STEP = 25;

interface ILongProps<T> {
  /** What the list is called. */
  readonly label: string;
  readonly items: ReadonlyArray<T>;
  /** Makes a row, an `li` with a key. */
  readonly row: (item: T) => JSX.Element;
}

/** A list that begins with its first rows, and goes on where somebody asks for more. */
export function LongList<T>({ label, items, row }: ILongProps<T>): JSX.Element {
  const { trans } = useApp();
  const [limit, setLimit] = React.useState(STEP);
  const rest = items.length - limit;
  return (
    <ul className="jp-Qwen3ft-list" aria-label={label}>
      {items.slice(0, limit).map(row)}
      {rest > 0 && (
        <li key="more" className="jp-Qwen3ft-more">
          <ActionButton
            label={trans.__('Show %1 more of %2', Math.min(STEP, rest), rest)}
            description={trans.__('Show %1 more of %2: %3', Math.min(STEP, rest), rest, label)}
            onClick={() => setLimit(limit + STEP)}
          />
        </li>
      )}
    </ul>
  );
}
