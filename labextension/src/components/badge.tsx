import type { LabIcon } from '@jupyterlab/ui-components';
import { checkIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useApp } from './context';

interface IBadgeProps {
  readonly look?: 'plain' | 'recommended' | 'success' | 'warning' | 'error' | 'active';
  readonly icon?: LabIcon;
  readonly title?: string;
  readonly children: React.ReactNode;
}

/** A short word about a thing. */
export function Badge({ look = 'plain', icon: Icon, title, children }: IBadgeProps): JSX.Element {
  return (
    <span className={`jp-Qwen3ft-badge jp-mod-${look}`} title={title}>
      {Icon && <Icon.react tag="span" className="jp-Qwen3ft-badgeIcon" aria-hidden="true" />}
      {children}
    </span>
  );
}

interface IVerifiedProps {
  readonly isVerified: boolean;
  /** What is said of a verified model. */
  readonly word: string;
  readonly title: string;
  /** The title where the model is not verified. */
  readonly doubt: string;
}

/** Whether every byte of a model was compared with what the hub published. */
export function VerifiedBadge({ isVerified, word, title, doubt }: IVerifiedProps): JSX.Element {
  const { trans } = useApp();
  return isVerified ? (
    <Badge look="success" icon={checkIcon} title={title}>
      {word}
    </Badge>
  ) : (
    <Badge look="warning" title={doubt}>
      {trans.__('Unverified')}
    </Badge>
  );
}
