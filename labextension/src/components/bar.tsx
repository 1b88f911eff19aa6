import * as React from 'react';

/** A thin bar of parts in colours. It shows what words beside it say, and is for eyes only. */
export function StackBar({ parts, whole }: StackBar.IProps): JSX.Element {
  return (
    <div className="jp-Qwen3ft-bar" aria-hidden="true">
      {parts.map((part, index) => (
        <span
          key={index}
          className={`jp-Qwen3ft-series jp-mod-${part.look}`}
          style={{ width: `${whole > 0 ? Math.min(100, (100 * part.size) / whole) : 0}%` }}
        />
      ))}
    </div>
  );
}

/** A namespace for `StackBar` statics. */
export namespace StackBar {
  /** A part of the bar. */
  export interface IPart {
    readonly size: number;
    readonly look: string;
  }

  /** The properties of a bar. */
  export interface IProps {
    readonly parts: ReadonlyArray<IPart>;
    /** The size of the whole bar, in the unit of its parts. */
    readonly whole: number;
  }
}
