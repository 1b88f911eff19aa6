import * as React from 'react';

import type { IJob } from '../api/answers';
import { isActive } from '../domain/jobs';
import { linesOf } from '../domain/lines';
import type { ILog } from '../state/log';
import { followEnd, UNREAD } from '../state/log';
import { ProblemAlert } from './alert';
import { useApp } from './context';
import { Sight } from './sight';

/** What is shown of a long log; the view of a run and the file have the rest. */
const TAIL = 200_000;

/** The end of a job's log, which grows while the job runs. */
export function JobLog({ job }: { readonly job: IJob }): JSX.Element {
  const { store, trans } = useApp();
  const box = React.useRef<HTMLDivElement>(null);
  const end = React.useRef<HTMLPreElement>(null);
  const [{ text, problem }, setLog] = React.useState<ILog>(UNREAD);
  const { client } = store;
  const { id } = job;
  const isRunning = isActive(job);
  // A resumed job writes into the same log; following begins anew when it starts or ends.
  React.useEffect(() => {
    const sight = box.current && new Sight(box.current);
    const isHidden = () => sight?.isSeen === false;
    const stop = followEnd(client, id, { size: TAIL, most: TAIL, isRunning, isHidden }, setLog);
    return () => {
      stop();
      sight?.dispose();
    };
  }, [client, id, isRunning]);
  React.useLayoutEffect(() => {
    if (end.current) {
      end.current.scrollTop = end.current.scrollHeight;
    }
  }, [text]);
  const words = text === null ? trans.__('Asking the server…') : linesOf(text).join('\n');
  return (
    <div ref={box}>
      {problem ? (
        <ProblemAlert problem={problem} />
      ) : (
        <pre
          ref={end}
          className="jp-Qwen3ft-log"
          tabIndex={0}
          role="log"
          aria-live="off"
          aria-label={trans.__('Log: %1', job.title)}
        >
          {words === '' ? trans.__('The log is empty.') : words}
        </pre>
      )}
    </div>
  );
}
