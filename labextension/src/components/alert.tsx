import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IProblem } from '../api/types';
import type { ILanguage } from '../domain/words';
import { serverWords } from '../domain/sentences';
import { problemTitle } from '../domain/words';
import { ActionButton } from './button';

/** A box that tells of something: an error, a warning, or what to do next. */
export function Alert(props: Alert.IProps): JSX.Element {
  const { look = 'error', title, children, onDismiss, dismissLabel } = props;
  return (
    <div className={`jp-Qwen3ft-alert jp-mod-${look}`} role={look === 'error' ? 'alert' : 'note'}>
      <div className="jp-Qwen3ft-alertText">
        <strong>{title}</strong>
        {children}
      </div>
      {onDismiss && (
        <ActionButton icon={closeIcon} label={dismissLabel ?? title} isIconOnly onClick={onDismiss} />
      )}
    </div>
  );
}

/** A namespace for `Alert` statics. */
export namespace Alert {
  /** The properties of an alert. */
  export interface IProps {
    readonly look?: 'error' | 'warning' | 'info';
    readonly title: string;
    readonly children?: React.ReactNode;
    readonly onDismiss?: () => void;
    readonly dismissLabel?: string;
  }
}

/** What went wrong, in the server's words below our own; or only in our own, where the server's stand elsewhere. */
export function ProblemAlert(props: ProblemAlert.IProps): JSX.Element {
  const { problem, language, isShort, onDismiss, children } = props;
  const { trans } = language;
  return (
    <Alert title={problemTitle(problem.code, trans)} onDismiss={onDismiss} dismissLabel={trans.__('Dismiss')}>
      {!isShort && problem.message && <p>{serverWords(problem.message, trans)}</p>}
      {!isShort && problem.hint && <p className="jp-Qwen3ft-hint">{serverWords(problem.hint, trans)}</p>}
      {children}
    </Alert>
  );
}

/** A namespace for `ProblemAlert` statics. */
export namespace ProblemAlert {
  /** The properties of a problem alert. */
  export interface IProps {
    readonly problem: IProblem;
    readonly language: ILanguage;
    /** Whether the title is enough. */
    readonly isShort?: boolean;
    /** What else can be done about it. */
    readonly children?: React.ReactNode;
    readonly onDismiss?: () => void;
  }
}
