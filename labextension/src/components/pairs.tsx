import * as React from 'react';

import type { Pair } from '../domain/language';

interface IPairsProps {
  readonly pairs: ReadonlyArray<Pair>;
  readonly className?: string;
}

/** What is known of a thing, pair by pair. */
export function Pairs({ pairs, className }: IPairsProps): JSX.Element {
  return (
    <dl className={className}>
      {pairs.map(([label, value]) => (
        <React.Fragment key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </React.Fragment>
      ))}
    </dl>
  );
}
