import * as React from 'react';

import type { IAsked, IBeforeAfter, IReport } from '../api/runs';
import { useApp } from '../components/context';
import { formatCount } from '../domain/format';
import type { ILanguage } from '../domain/language';
import { metricName, metricValue } from '../domain/metrics';

interface IReportProps {
  readonly report: IReport;
}

/** Did it learn, did it forget? Numbers before and after, and the answers as they became better. */
export function Report({ report }: IReportProps): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const kinds: ReadonlyArray<readonly [IAsked['kind'], string]> = [
    ['prompt', trans.__('Your prompts')],
    ['row', trans.__('Rows of the data')],
    ['everyday', trans.__('Everyday prompts: what it could before')]
  ];
  const answered = report.asked.filter(one => answersOf(one, app).length > 0);
  return (
    <>
      <Scores report={report} />
      {answered.length === 0 && (
        <p className="jp-Qwen3ft-empty">{trans.__('Nothing has been answered yet.')}</p>
      )}
      {kinds.map(([kind, title]) => {
        const asked = answered.filter(one => one.kind === kind);
        return asked.length === 0 ? null : (
          <section key={kind} className="jp-Qwen3ft-block">
            <h3>{title}</h3>
            {asked.map((one, index) => (
              <Answers key={index} asked={one} />
            ))}
          </section>
        );
      })}
    </>
  );
}

function Scores({ report }: IReportProps): JSX.Element | null {
  const app = useApp();
  const { trans } = app;
  const rows = [...rowsOf(report.heldOut, app), ...rowsOf(report.scores, app)];
  const notes = notesOf(report, app);
  if (rows.length === 0 && notes.length === 0) {
    return null;
  }
  return (
    <section className="jp-Qwen3ft-block">
      <h3>{trans.__('Did it learn, did it forget?')}</h3>
      {rows.length > 0 && (
        <div className="jp-Qwen3ft-tableBox" tabIndex={0} role="group" aria-label={trans.__('Scores')}>
          <table className="jp-Qwen3ft-table">
            <thead>
              <tr>
                <th scope="col">{trans.__('Item')}</th>
                <th scope="col">{trans.__('Before')}</th>
                <th scope="col">{trans.__('After')}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(([name, before, after]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{before}</td>
                  <td>{after}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {notes.map(note => (
        <p key={note} className="jp-Qwen3ft-meta">
          {note}
        </p>
      ))}
    </section>
  );
}

function rowsOf(
  { before, after }: IBeforeAfter,
  { trans, locale }: ILanguage
): ReadonlyArray<readonly [string, string, string]> {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].map(name => {
    const words = (value: number | undefined) =>
      value === undefined ? '' : metricValue(name, value, locale);
    return [metricName(name === 'loss' ? 'eval_loss' : name, trans), words(before[name]), words(after[name])];
  });
}

function notesOf(report: IReport, { trans, locale }: ILanguage): ReadonlyArray<string> {
  const rows = report.asked.filter(({ kind, after }) => kind === 'row' && after !== null).length;
  const from = {
    held_out: trans._n('Scored: %1 row kept out of training.', 'Scored: %1 rows kept out of training.', rows),
    training: trans._n(
      'Scored: %1 row of the training data; none were held out (eval_fraction).',
      'Scored: %1 rows of the training data; none were held out (eval_fraction).',
      rows
    ),
    data: trans._n('Scored: %1 row of the data.', 'Scored: %1 rows of the data.', rows)
  };
  return [
    report.rows > 0
      ? trans._n(
          'Loss of %1 held-out sample.',
          'Loss of %1 held-out samples.',
          report.rows,
          formatCount(report.rows, locale)
        )
      : '',
    rows > 0 ? from[report.rowsFrom] : '',
    report.everydayKept === null
      ? ''
      : trans.__(
          'Everyday prompts: the answers after are %1 % (chrF) like those before.',
          metricValue('everyday_kept', report.everydayKept, locale)
        )
  ].filter(note => note !== '');
}

/** One prompt, and each answer to it in the order in which it was given. */
function Answers({ asked }: { readonly asked: IAsked }): JSX.Element {
  const app = useApp();
  const { trans } = app;
  return (
    <article className="jp-Qwen3ft-asked" aria-label={trans.__('Answers')}>
      <p className="jp-Qwen3ft-prompt">
        <bdi>{asked.prompt}</bdi>
      </p>
      <dl>
        {answersOf(asked, app).map(([when, answer]) => (
          <React.Fragment key={when}>
            <dt>{when}</dt>
            <dd>
              <bdi>{answer === '' ? trans.__('(nothing)') : answer}</bdi>
            </dd>
          </React.Fragment>
        ))}
        {asked.reference !== null && (
          <>
            <dt>{trans.__('Data')}</dt>
            <dd className="jp-mod-reference">
              <bdi>{asked.reference}</bdi>
            </dd>
          </>
        )}
      </dl>
    </article>
  );
}

function answersOf(
  { before, during, after }: IAsked,
  { trans, locale }: ILanguage
): ReadonlyArray<readonly [when: string, answer: string]> {
  const steps = Object.entries(during).sort(([a], [b]) => Number(a) - Number(b));
  const found: ReadonlyArray<readonly [string, string | null]> = [
    [trans.__('Before'), before],
    ...steps.map(
      ([step, answer]) => [trans.__('Step %1', formatCount(Number(step), locale)), answer] as const
    ),
    [trans.__('After'), after]
  ];
  return found.flatMap(([when, answer]) => (answer === null ? [] : [[when, answer] as const]));
}
