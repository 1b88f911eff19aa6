import * as React from 'react';

import type { IProblem } from '../api/answers';
import { toProblem } from '../api/request';
import { ProblemAlert } from './alert';
import { ActionButton } from './button';
import { useApp } from './context';

/** Something that the server was asked for once: what it said, or why it did not. */
export interface IAsked<T> {
  /** Null until it is there. */
  readonly value: T | null;
  readonly problem: IProblem | null;
  readonly isBusy: boolean;
  readonly ask: () => void;
  /** Wait no longer; the server stops asking hubs, too. */
  readonly stop: () => void;
}

/** Ask the server when told to, not before; whoever goes away waits no longer. */
export function useAsked<T>(request: (signal: AbortSignal) => Promise<T>): IAsked<T> {
  const [value, setValue] = React.useState<T | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const [asking, setAsking] = React.useState<AbortController | null>(null);
  const current = React.useRef<AbortController | null>(null);
  const stop = React.useCallback(() => {
    current.current?.abort();
    current.current = null;
    setAsking(null);
  }, []);
  React.useEffect(() => () => current.current?.abort(), []);
  const ask = async (): Promise<void> => {
    current.current?.abort();
    const controller = new AbortController();
    current.current = controller;
    setAsking(controller);
    setProblem(null);
    const settle = (change: () => void): void => {
      if (current.current === controller) {
        current.current = null;
        setAsking(null);
        change();
      }
    };
    try {
      const found = await request(controller.signal);
      settle(() => setValue(found));
    } catch (error) {
      settle(() => setProblem(toProblem(error)));
    }
  };
  return { value, problem, isBusy: asking !== null, ask: () => void ask(), stop };
}

interface IAskingProps {
  readonly asked: Pick<IAsked<unknown>, 'problem' | 'isBusy' | 'stop'>;
  /** What is waited for. */
  readonly label: string;
}

/** That a hub is being asked, and a way to stop; or why it did not answer. */
export function Asking({ asked, label }: IAskingProps): JSX.Element | null {
  const { trans } = useApp();
  if (asked.isBusy) {
    return (
      <div className="jp-Qwen3ft-asking">
        <progress aria-label={label} />
        <ActionButton
          label={trans.__('Stop')}
          description={trans.__('Stop: %1', label)}
          onClick={asked.stop}
        />
      </div>
    );
  }
  return asked.problem && <ProblemAlert problem={asked.problem} />;
}
