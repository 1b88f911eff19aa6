import * as React from 'react';

/** A model's name: the part that tells models apart stands out. */
export function ModelName({ name }: { readonly name: string }): JSX.Element {
  const slash = name.indexOf('/');
  return (
    <span className="jp-Qwen3ft-name">
      {slash > 0 && <span className="jp-Qwen3ft-owner">{name.slice(0, slash + 1)}</span>}
      <span className="jp-Qwen3ft-model">{name.slice(slash + 1)}</span>
    </span>
  );
}
