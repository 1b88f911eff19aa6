import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

/** A short word about a thing. */
export function Badge({ look = 'plain', icon: Icon, title, children }: Badge.IProps): JSX.Element {
  return (
    <span className={`jp-Qwen3ft-badge jp-mod-${look}`} title={title}>
      {Icon && <Icon.react tag="span" className="jp-Qwen3ft-badgeIcon" aria-hidden="true" />}
      {children}
    </span>
  );
}

/** A namespace for `Badge` statics. */
export namespace Badge {
  /** The properties of a badge. */
  export interface IProps {
    readonly look?: 'plain' | 'recommended' | 'success' | 'warning' | 'error' | 'active';
    readonly icon?: LabIcon;
    readonly title?: string;
    readonly children: React.ReactNode;
  }
}
