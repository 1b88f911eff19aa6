import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IProblem } from '../api/answers';
import { problemHint, problemTitle } from '../domain/problems';
import { ActionButton } from './button';
import { useApp } from './context';

interface IAlertProps {
  readonly look?: 'error' | 'warning' | 'info';
  readonly title: string;
  readonly children?: React.ReactNode;
  readonly onDismiss?: () => void;
}

/** A box that tells of something: an error, a warning, or what to do next. */
export function Alert({ look = 'error', title, children, onDismiss }: IAlertProps): JSX.Element {
  const { trans } = useApp();
  return (
    // Not jp-mod-error: JupyterLab takes a dialog that has that anywhere for one that is not filled in.
    <div
      className={`jp-Qwen3ft-alert jp-mod-${look === 'error' ? 'problem' : look}`}
      role={look === 'error' ? 'alert' : 'note'}
    >
      <div className="jp-Qwen3ft-alertText">
        <strong>{title}</strong>
        {children}
      </div>
      {onDismiss && (
        <ActionButton icon={closeIcon} label={trans.__('Dismiss')} isIconOnly onClick={onDismiss} />
      )}
    </div>
  );
}

interface IProblemProps {
  readonly problem: IProblem;
  /** Whether the title is enough. */
  readonly isShort?: boolean;
  /** What else can be done about it. */
  readonly children?: React.ReactNode;
  readonly onDismiss?: () => void;
}

/** What went wrong, in the server's words below our own; or only in our own, where the server's stand elsewhere. */
export function ProblemAlert({ problem, isShort, onDismiss, children }: IProblemProps): JSX.Element {
  const { trans } = useApp();
  const { code, message } = problem;
  const hint = problemHint(problem, trans);
  return (
    <Alert title={problemTitle(code, trans)} onDismiss={onDismiss}>
      {!isShort && message && <p>{message}</p>}
      {!isShort && hint && <p className="jp-Qwen3ft-hint">{hint}</p>}
      {children}
    </Alert>
  );
}
