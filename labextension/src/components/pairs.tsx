import * as React from 'react';

import type { Pair } from '../domain/words';

/** What is known of a thing, pair by pair. */
export function Pairs({ pairs, className }: Pairs.IProps): JSX.Element {
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

/** A namespace for `Pairs` statics. */
export namespace Pairs {
  /** The properties of the list. */
  export interface IProps {
    readonly pairs: ReadonlyArray<Pair>;
    readonly className?: string;
  }
}
