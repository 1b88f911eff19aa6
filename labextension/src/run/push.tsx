import { Dialog } from '@jupyterlab/apputils';
import * as React from 'react';

import type { IProblem } from '../api/answers';
import { toProblem } from '../api/request';
import type { IPushPlan } from '../api/runs';
import { ProblemAlert } from '../components/alert';
import { ActionButton } from '../components/button';
import { useApp, usePending, useStore } from '../components/context';
import { isAccepted } from '../components/dialog';
import { Pairs } from '../components/pairs';
import { formatBytes } from '../domain/format';
import type { ILanguage, Pair } from '../domain/language';
import { hubName } from '../domain/names';
import type { IFormProps } from './after';
import { FormBox } from './after';
import { useRun } from './context';
import type { Fields } from './plan';
import { given } from './plan';
import { inARow } from '../domain/words';

/** A plan, and what it was asked for with: nothing else is uploaded. */
interface IPlanned {
  readonly plan: IPushPlan;
  readonly fields: Fields;
}

/** Publishes the result: shows what would be uploaded and who would see it, and uploads it after an explicit yes. */
export function PushForm({ run, onClose }: IFormProps): JSX.Element {
  const app = useApp();
  const { store, trans } = app;
  const key = `${useRun().jobId} push`;
  const [repo, setRepo] = React.useState('');
  const [hub, setHub] = React.useState('');
  const [isPublic, setPublic] = React.useState(false);
  const [planned, setPlanned] = React.useState<IPlanned | null>(null);
  const asked = React.useRef(0);
  const [problem, setProblem] = React.useState<IProblem | null>(null);
  const [isAsking, setAsking] = React.useState(false);
  const isPending = usePending(key);
  React.useEffect(() => store.actions.tellBeside(key), [store, key]);
  const failure = useStore(({ actions }) => actions.problemOf(key));
  const fields: Fields = { run, repo_id: repo.trim(), hub, public: isPublic };
  const plan = planned?.plan ?? null;
  // A plan is of what was asked: another repo, hub or audience needs another one, and another yes.
  const change =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      asked.current += 1; // an answer that is under way is to what stood here before
      setAsking(false);
      setPlanned(null);
      setProblem(null);
      set(value);
    };
  const ask = async () => {
    const turn = (asked.current += 1);
    setAsking(true);
    setProblem(null);
    const [answer, refusal] = await store.client.planPush(given(fields)).then(
      found => [found, null] as const,
      error => [null, toProblem(error)] as const
    );
    if (asked.current === turn) {
      setPlanned(answer && { plan: answer, fields });
      setProblem(refusal);
      setAsking(false);
    }
  };
  const upload = async (shown: IPlanned) => {
    if (!(await confirmUpload(shown.plan, app))) {
      return;
    }
    // What was shown, and to that hub, also where the one that is asked first is another one by now.
    const confirmed = given({ ...shown.fields, hub: shown.plan.hub });
    if (await store.actions.act(key, async client => void (await client.push(confirmed)))) {
      onClose();
    }
  };
  return (
    <FormBox title={trans.__('Publish the result')} onSubmit={() => void ask()}>
      <p className="jp-Qwen3ft-meta">
        {trans.__(
          'Nothing is uploaded before you have seen what, where to and who will see it, and have said yes.'
        )}
      </p>
      <div className="jp-Qwen3ft-fields">
        <label className="jp-Qwen3ft-field">
          {trans.__('Repo')}
          <input
            className="jp-mod-styled"
            value={repo}
            required
            placeholder={trans.__('owner/name')}
            onChange={event => change(setRepo)(event.target.value)}
          />
        </label>
        <label className="jp-Qwen3ft-field">
          {trans.__('Hub')}
          <select
            className="jp-mod-styled"
            value={hub}
            onChange={event => change(setHub)(event.target.value)}
          >
            <option value="">{trans.__('the one that is asked first')}</option>
            <option value="modelscope">{hubName('modelscope')}</option>
            <option value="huggingface">{hubName('huggingface')}</option>
          </select>
        </label>
        <label className="jp-Qwen3ft-check">
          <input
            type="checkbox"
            checked={isPublic}
            onChange={event => change(setPublic)(event.target.checked)}
          />
          {trans.__('Public: everybody sees it')}
        </label>
      </div>
      {problem && <ProblemAlert problem={problem} />}
      {failure && <ProblemAlert problem={failure} onDismiss={() => store.actions.dismissProblem()} />}
      <div aria-live="polite">{plan && <PushPlan plan={plan} />}</div>
      <div className="jp-Qwen3ft-actions">
        {planned !== null && planned.plan.problem === null ? (
          <ActionButton
            look="primary"
            label={trans.__('Upload…')}
            description={trans.__('Upload… %1', audience(planned.plan, app))}
            isBusy={isPending}
            onClick={() => void upload(planned)}
          />
        ) : (
          <ActionButton
            isSubmit
            look="primary"
            label={trans.__('Show what would be uploaded')}
            isBusy={isAsking}
            isDisabled={repo.trim() === ''}
          />
        )}
        <ActionButton label={trans.__('Cancel')} onClick={onClose} />
      </div>
    </FormBox>
  );
}

/** What would be uploaded, file by file, and what stands in the way. */
function PushPlan({ plan }: { readonly plan: IPushPlan }): JSX.Element {
  const app = useApp();
  const { trans, locale } = app;
  return (
    <div className="jp-Qwen3ft-plan">
      {plan.problem && <ProblemAlert problem={plan.problem} />}
      <Pairs className="jp-Qwen3ft-result" pairs={pairsOf(plan, app)} />
      <ul className="jp-Qwen3ft-files" aria-label={trans.__('Files to upload')}>
        {plan.files.map(({ path, size }) => (
          <li key={path}>
            <bdi>{path}</bdi>
            <span className="jp-Qwen3ft-meta">{formatBytes(size, locale)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function pairsOf(plan: IPushPlan, language: ILanguage): ReadonlyArray<Pair> {
  const { trans } = language;
  const standing = plan.exists
    ? plan.exists_private === null
      ? trans.__('is there')
      : plan.exists_private
        ? trans.__('is there, and private')
        : trans.__('is there, and public')
    : trans.__('is not there, and would be made');
  const pairs: ReadonlyArray<Pair> = [
    [trans.__('Goes to'), trans.__('%1 on %2', plan.repo_id, hubName(plan.hub))],
    [trans.__('Page'), plan.page],
    [trans.__('Size'), sizeWords(plan, language)],
    [trans.__('Seen by'), audience(plan, language)],
    [trans.__('The repo'), plan.problem === null ? standing : ''],
    [trans.__('Replaced where they differ'), plan.present.join(', ')],
    [trans.__('Stays here'), plan.left.join(', ')]
  ];
  return pairs.filter(([, value]) => value !== '');
}

function sizeWords({ files, size }: IPushPlan, { trans, locale }: ILanguage): string {
  return trans._n('%1 file, %2', '%1 files, %2', files.length, formatBytes(size, locale));
}

/** Who will see it. */
function audience(plan: IPushPlan, { trans }: ILanguage): string {
  return isHidden(plan)
    ? trans.__('only those who see the private repos of its owner')
    : trans.__('everybody');
}

/** A repo that is there stays as it is; where nobody knows how that is, everybody may see it. */
function isHidden(plan: IPushPlan): boolean {
  return plan.exists_private ?? plan.private;
}

/** Ask for the yes without which nothing is sent. */
function confirmUpload(plan: IPushPlan, language: ILanguage): Promise<boolean> {
  const { trans } = language;
  const what = trans.__('%1 go to %2 on %3.', sizeWords(plan, language), plan.repo_id, hubName(plan.hub));
  return isAccepted({
    title: trans.__('Upload to %1?', plan.repo_id),
    body: inARow(what, trans.__('Who will see it: %1.', audience(plan, language))),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      isHidden(plan)
        ? Dialog.okButton({ label: trans.__('Yes, upload') })
        : Dialog.warnButton({ label: trans.__('Yes, upload for everybody') })
    ],
    defaultButton: 0
  });
}
