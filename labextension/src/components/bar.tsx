import * as React from 'react';

interface IBarProps {
  readonly parts: ReadonlyArray<{ readonly size: number; readonly look: string }>;
  /** The size of the whole bar, in the unit of its parts. */
  readonly whole: number;
}

/** A thin bar of parts in colours. It shows what words beside it say, and is for eyes only. */
export function StackBar({ parts, whole }: IBarProps): JSX.Element {
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
