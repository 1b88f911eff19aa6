import { checkIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ILanguage } from '../domain/words';
import { Badge } from './badge';

/** Whether every byte of a model was compared with what the hub published. */
export function VerifiedBadge({
  isVerified,
  word,
  title,
  doubt,
  language
}: VerifiedBadge.IProps): JSX.Element {
  return isVerified ? (
    <Badge look="success" icon={checkIcon} title={title}>
      {word}
    </Badge>
  ) : (
    <Badge look="warning" title={doubt}>
      {language.trans.__('Unverified')}
    </Badge>
  );
}

/** A namespace for `VerifiedBadge` statics. */
export namespace VerifiedBadge {
  /** The properties of the badge. */
  export interface IProps {
    readonly isVerified: boolean;
    /** What is said of a verified model. */
    readonly word: string;
    readonly title: string;
    /** The title where the model is not verified. */
    readonly doubt: string;
    readonly language: ILanguage;
  }
}
