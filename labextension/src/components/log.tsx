import * as React from 'react';

import type { IJob, IProblem } from '../api/answers';
import type { Client } from '../api/client';
import { toProblem } from '../api/request';
import { isActive } from '../domain/jobs';
import { ProblemAlert } from './alert';
import { useApp } from './context';

/** While a job writes, its log is asked for this often. */
const INTERVAL_MS = 2000;

/** What is kept of a long log; the file has the rest. */
const MAX_CHARACTERS = 200_000;

/** The end of a job's log, which grows while the job runs. */
export function JobLog({ job }: { readonly job: IJob }): JSX.Element {
  const { store, trans } = useApp();
  const { client } = store;
  const [text, setText] = React.useState<string | null>(null);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const box = React.useRef<HTMLPreElement>(null);
  const isRunning = isActive(job);
  // A resumed job writes into the same log; following starts anew when it starts or ends.
  React.useEffect(
    () => followLog(client, job.id, isRunning, setText, setProblem),
    [client, job.id, isRunning]
  );
  React.useLayoutEffect(() => {
    if (box.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [text]);
  if (problem !== null) {
    return <ProblemAlert problem={problem} />;
  }
  return (
    <pre
      ref={box}
      className="jp-Qwen3ft-log"
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label={trans.__('Log: %1', job.title)}
    >
      {text === '' ? trans.__('The log is empty.') : (text ?? trans.__('Asking the server…'))}
    </pre>
  );
}

/** Read a log to its end, and on while it grows; returns what ends the reading. */
function followLog(
  client: Client,
  id: string,
  isRunning: boolean,
  setText: (text: string) => void,
  setProblem: (problem: IProblem | null) => void
): () => void {
  let isOver = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let offset = 0;
  let text = '';
  const readOn = async (): Promise<void> => {
    for (;;) {
      const chunk = await client.log(id, offset);
      if (isOver) {
        return;
      }
      offset = chunk.next_offset;
      text = (text + chunk.text).slice(-MAX_CHARACTERS);
      if (chunk.text === '') {
        break;
      }
    }
    setProblem(null);
    setText(text);
    if (isRunning) {
      timer = setTimeout(() => void look(), INTERVAL_MS);
    }
  };
  const look = () => readOn().catch(error => !isOver && setProblem(toProblem(error)));
  void look();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}
