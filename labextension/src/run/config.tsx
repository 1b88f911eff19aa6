import * as React from 'react';

import type { IJob, IProblem } from '../api/answers';
import type { Json } from '../api/read';
import { toProblem } from '../api/request';
import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { compareFields, written } from '../domain/fields';
import { usePicture, useRun } from './context';

/** The value of the choice that compares with what fields are where nobody gives them. */
const DEFAULTS = '';

/** The config of the run: where it differs from the defaults or another run, or all of it. */
export function Config(): JSX.Element | null {
  const { trans } = useApp();
  const run = usePicture(picture => picture.run);
  const [against, setAgainst] = React.useState(DEFAULTS);
  const [isWhole, setWhole] = React.useState(false);
  const { config: other, problem } = useOther(against);
  const fields = React.useMemo(
    () => (run === null || other === null ? [] : compareFields(run.config, other)),
    [run, other]
  );
  if (run === null) {
    return <p className="jp-Qwen3ft-empty">{trans.__('The run has no record yet.')}</p>;
  }
  const shown = isWhole ? fields : fields.filter(({ differs }) => differs);
  return (
    <>
      <div className="jp-Qwen3ft-tools">
        <Against value={against} onChange={setAgainst} />
        <ActionButton label={trans.__('All fields')} isPressed={isWhole} onClick={() => setWhole(!isWhole)} />
      </div>
      {problem && <ProblemAlert problem={problem} />}
      {other !== null && shown.length === 0 && (
        <p className="jp-Qwen3ft-empty">{trans.__('No field differs.')}</p>
      )}
      {shown.length > 0 && (
        <div className="jp-Qwen3ft-tableBox" tabIndex={0} role="group" aria-label={trans.__('Config')}>
          <table className="jp-Qwen3ft-table">
            <thead>
              <tr>
                <th scope="col">{trans.__('Field')}</th>
                <th scope="col">{trans.__('This run')}</th>
                <th scope="col">{against === DEFAULTS ? trans.__('Default') : trans.__('The other run')}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ name, value, other: before, differs }) => (
                <tr key={name} className={differs ? 'jp-mod-differs' : undefined}>
                  <th scope="row">
                    <code>{name}</code>
                  </th>
                  <td>
                    <Value value={value} />
                  </td>
                  <td>
                    <Value value={before} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function Value({ value }: { readonly value: unknown }): JSX.Element {
  const { trans } = useApp();
  const text = written(value);
  return text === '' ? <span className="jp-Qwen3ft-meta">{trans.__('not set')}</span> : <bdi>{text}</bdi>;
}

interface IAgainstProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** What the config is compared with. */
function Against({ value, onChange }: IAgainstProps): JSX.Element {
  const { trans } = useApp();
  const others = useOtherRuns();
  return (
    <label className="jp-Qwen3ft-field">
      {trans.__('Compare with')}
      <select className="jp-mod-styled" value={value} onChange={event => onChange(event.target.value)}>
        <option value={DEFAULTS}>{trans.__('the defaults')}</option>
        {others.map(job => (
          <option key={job.id} value={job.id}>
            {`${job.title} · ${job.id}`}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The other fine-tunes that have begun, the newest first. */
export function useOtherRuns(): ReadonlyArray<IJob> {
  const { jobId } = useRun();
  const jobs = useStore(({ snapshot }) => snapshot.jobs);
  return React.useMemo(
    () => jobs.filter(job => job.kind === 'finetune' && job.id !== jobId && job.started !== null),
    [jobs, jobId]
  );
}

interface IOtherConfig {
  readonly config: Json | null;
  readonly problem: IProblem | null;
}

function useOther(against: string): IOtherConfig {
  const { store } = useApp();
  const [known, setKnown] = React.useState<IOtherConfig>({ config: null, problem: null });
  React.useEffect(() => {
    let isOver = false;
    const asked =
      against === DEFAULTS ? store.client.defaults() : store.client.run(against).then(({ config }) => config);
    asked
      .then(config => !isOver && setKnown({ config, problem: null }))
      .catch(error => !isOver && setKnown({ config: null, problem: toProblem(error) }));
    return () => {
      isOver = true;
    };
  }, [store, against]);
  return known;
}
