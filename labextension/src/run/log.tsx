import * as React from 'react';

import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { formatCount } from '../domain/format';
import { isActive } from '../domain/jobs';
import type { INumbered } from '../domain/lines';
import { linesOf, matching } from '../domain/lines';
import type { ILog } from '../state/log';
import { followEnd, MOST_BYTES, UNREAD } from '../state/log';
import { usePicture, useRun } from './context';

/** Of the end of a log; some two thousand lines. */
const TAIL_BYTES = 200_000;

/** Lines that are drawn together: those that are out of sight cost nothing then. */
const CHUNK = 200;

/** So many lines that match are shown; more cannot be read. */
const MOST_MATCHES = 2000;

/** The end of the log, or all of it, and the lines in it that hold a text. */
export function Log(): JSX.Element {
  const { trans, locale } = useApp();
  const [size, setSize] = React.useState(TAIL_BYTES);
  const { text, isWhole, problem } = useLog(size);
  const [wanted, setWanted] = React.useState('');
  const lines = React.useMemo(() => linesOf(text ?? ''), [text]);
  const found = React.useMemo(() => matching(lines, wanted), [lines, wanted]);
  if (problem !== null) {
    return <ProblemAlert problem={problem} />;
  }
  const shown = wanted === '' ? found : found.slice(-MOST_MATCHES);
  return (
    <div className="jp-Qwen3ft-logView">
      <div className="jp-Qwen3ft-tools">
        <input
          className="jp-mod-styled"
          type="search"
          value={wanted}
          placeholder={trans.__('Search the log')}
          aria-label={trans.__('Search the log')}
          onChange={event => setWanted(event.target.value)}
        />
        <span className="jp-Qwen3ft-meta" role="status">
          {wanted === ''
            ? trans._n('%1 line', '%1 lines', lines.length)
            : trans.__(
                '%1 of %2 lines match',
                formatCount(found.length, locale),
                formatCount(lines.length, locale)
              )}
          {isWhole ? '' : ` · ${trans.__('the end of the log')}`}
        </span>
        {!isWhole && (
          <ActionButton label={trans.__('Load the whole log')} onClick={() => setSize(MOST_BYTES)} />
        )}
      </div>
      <Lines lines={shown} isEmpty={text === ''} isSearch={wanted !== ''} />
    </div>
  );
}

interface ILinesProps {
  readonly lines: ReadonlyArray<INumbered>;
  readonly isEmpty: boolean;
  readonly isSearch: boolean;
}

/** Lines in parts of which the page draws only those in sight; new ones are followed while the end is seen. */
function Lines({ lines, isEmpty, isSearch }: ILinesProps): JSX.Element {
  const { trans } = useApp();
  const box = React.useRef<HTMLDivElement>(null);
  const isAtEnd = React.useRef(true);
  React.useLayoutEffect(() => {
    if (box.current && isAtEnd.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [lines]);
  const parts = Array.from({ length: Math.ceil(lines.length / CHUNK) }, (_, part) =>
    lines.slice(part * CHUNK, (part + 1) * CHUNK)
  );
  return (
    <div
      ref={box}
      className="jp-Qwen3ft-lines"
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label={trans.__('Log')}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isAtEnd.current = scrollHeight - scrollTop - clientHeight < 8;
      }}
    >
      {isEmpty && <pre>{trans.__('The log is empty.')}</pre>}
      {parts.map((part, index) => (
        <Part key={part[0].index} lines={part} isNumbered={isSearch} isLast={index === parts.length - 1} />
      ))}
    </div>
  );
}

interface IPartProps {
  readonly lines: ReadonlyArray<INumbered>;
  readonly isNumbered: boolean;
  readonly isLast: boolean;
}

/** Only the last part grows; the others are drawn once. */
const Part = React.memo(
  function Part({ lines, isNumbered }: IPartProps): JSX.Element {
    const text = lines.map(({ index, line }) => (isNumbered ? `${index + 1}: ${line}` : line)).join('\n');
    return <pre style={{ containIntrinsicSize: `auto ${lines.length * 1.4}em` }}>{text}</pre>;
  },
  (before, now) =>
    !before.isLast &&
    before.isNumbered === now.isNumbered &&
    before.lines.length === now.lines.length &&
    before.lines.every(({ line }, index) => line === now.lines[index].line)
);

function useLog(size: number): ILog {
  const { store } = useApp();
  const { jobId, isHidden } = useRun();
  const isRunning = usePicture(({ job }) => job !== null && isActive(job));
  const [log, setLog] = React.useState<ILog>(UNREAD);
  // A resumed job writes into the same log; following begins anew when it starts or ends.
  React.useEffect(
    () => followEnd(store.client, jobId, { size, isRunning, isHidden }, setLog),
    [store, jobId, size, isRunning, isHidden]
  );
  return log;
}
