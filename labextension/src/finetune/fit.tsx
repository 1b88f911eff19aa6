import * as React from 'react';

import type { IChange, IPlan, IPlannedMemory } from '../api/finetune';
import { text } from '../api/read';
import { Alert, ProblemAlert } from '../components/alert';
import { StackBar } from '../components/bar';
import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { Pairs } from '../components/pairs';
import { formatBytes, formatCount, formatDuration } from '../domain/format';
import type { ILanguage, Pair } from '../domain/language';
import { useModel } from './context';
import { Waiting } from './waiting';

/** Whether the fine-tune fits this machine, how long it takes, and what would make it fit. */
export function Fit(): JSX.Element {
  const app = useApp();
  const { trans } = app;
  const model = useModel();
  const { plan } = model;
  const id = React.useId();
  const found = plan.value;
  const problem = model.planProblem;
  const isRight = model.checked.value?.problems.length === 0;
  return (
    <section className="jp-Qwen3ft-pane" aria-labelledby={id} aria-busy={plan.isBusy}>
      <h2 id={id}>{trans.__('Will it fit?')}</h2>
      {problem !== null && !plan.isBusy && <ProblemAlert problem={problem} />}
      {found === null && problem === null && !plan.isBusy && !isRight && (
        <p className="jp-Qwen3ft-help">{trans.__('Choose a model and data: then it is told here.')}</p>
      )}
      {plan.isBusy && (
        <Waiting
          label={model.isPlanClose ? trans.__('Counting tokens and trying a step') : trans.__('Estimating')}
          onStop={() => plan.stop()}
        />
      )}
      {found !== null && (problem === null || plan.isBusy) && (
        <div className={model.isPlanFresh ? '' : 'jp-mod-stale'}>
          {!model.isPlanFresh && !plan.isBusy && (
            <p className="jp-Qwen3ft-help">{trans.__('As it was before your last change.')}</p>
          )}
          <Verdict plan={found} />
          {found.memory && <Memory memory={found.memory} />}
          {found.memory !== null && found.memory.changes.length > 0 && (
            <Changes changes={found.memory.changes} />
          )}
          {!found.has_room && found.disk !== null && (
            <Alert title={trans.__('Not enough disk')}>
              <p>{trans.__('Free some, name an output_dir on another volume, or lower keep_checkpoints.')}</p>
            </Alert>
          )}
          <Pairs className="jp-Qwen3ft-result" pairs={facts(found, app)} />
          <Notices notices={found.notices} />
          {!model.isPlanClose && (
            <ActionButton
              label={trans.__('Check closely')}
              description={trans.__('Check closely: count the tokens, and try a step without weights')}
              isBusy={plan.isBusy}
              onClick={() => model.estimate(true)}
            />
          )}
        </div>
      )}
      {isRight && !plan.isBusy && !model.isPlanFresh && (
        <ActionButton label={trans.__('Estimate again')} onClick={() => model.estimate(false)} />
      )}
    </section>
  );
}

/** The answer in one sentence, by words and sign, not by colour alone. */
function Verdict({ plan }: { readonly plan: IPlan }): JSX.Element {
  const { trans, locale } = useApp();
  const { memory, fits } = plan;
  if (memory === null) {
    return (
      <p className="jp-Qwen3ft-verdict jp-mod-unknown">
        {plan.is_cached
          ? trans.__('Nobody knows what this model needs.')
          : trans.__('What this model needs is known once it is downloaded.')}
      </p>
    );
  }
  const [needed, free] = [formatBytes(memory.total, locale), formatBytes(memory.free, locale)];
  const words = {
    yes: trans.__('It fits: about %1 of %2 free on %3.', needed, free, placeOf(memory, trans)),
    no: trans.__(
      'It does not fit: about %1 are needed, %2 are free on %3.',
      needed,
      free,
      placeOf(memory, trans)
    ),
    unknown: trans.__(
      'It may not fit: about %1 are needed, %2 are free on %3.',
      needed,
      free,
      placeOf(memory, trans)
    )
  };
  const signs = { yes: '✓', no: '✕', unknown: '?' };
  return (
    <p className={`jp-Qwen3ft-verdict jp-mod-${fits}`}>
      <span aria-hidden="true">{signs[fits]}</span>
      <span>{words[fits]}</span>
    </p>
  );
}

function placeOf(memory: IPlannedMemory, trans: ILanguage['trans']): string {
  return memory.device === 'cpu' ? trans.__('this computer (no GPU)') : memory.device_name;
}

function Memory({ memory }: { readonly memory: IPlannedMemory }): JSX.Element {
  const { trans, locale } = useApp();
  const parts: ReadonlyArray<readonly [string, number, string]> = [
    [trans.__('Weights'), memory.weights, 'series0'],
    [
      trans.__('Adapter, gradients, optimizer'),
      memory.adapter + memory.gradients + memory.optimizer,
      'series1'
    ],
    [trans.__('Activations'), memory.activations + memory.logits, 'series2'],
    [trans.__('Reserve'), memory.margin, 'series4']
  ];
  return (
    <div className="jp-Qwen3ft-memory">
      <StackBar
        whole={Math.max(memory.total, memory.free)}
        parts={parts.map(([, size, look]) => ({ size, look }))}
      />
      <ul className="jp-Qwen3ft-legend" aria-label={trans.__('What takes the memory')}>
        {parts
          .filter(([, size]) => size > 0)
          .map(([label, size, look]) => (
            <li key={label}>
              <span className={`jp-Qwen3ft-series jp-mod-${look}`} aria-hidden="true" />
              {label}: {formatBytes(size, locale)}
            </li>
          ))}
      </ul>
    </div>
  );
}

function Changes({ changes }: { readonly changes: ReadonlyArray<IChange> }): JSX.Element {
  const { trans, locale } = useApp();
  const model = useModel();
  return (
    <div className="jp-Qwen3ft-changes">
      <p>{trans.__('What fits, the cheapest first:')}</p>
      <ul>
        {changes.map((change, index) => {
          const words = Object.entries(change.fields)
            .map(([name, value]) => `${name}: ${text(value)}`)
            .join(', ');
          return (
            <li key={words}>
              <ActionButton
                look={index === 0 ? 'primary' : 'plain'}
                label={trans.__('Apply')}
                description={trans.__('Apply %1', words)}
                onClick={() => model.apply(change)}
              />
              <span>
                <code>{words}</code> {trans.__('about %1', formatBytes(change.total_bytes, locale))}
                {change.shortened > 0 &&
                  `; ${trans._n('shortens %1 sample', 'shortens %1 samples', change.shortened, change.shortened)}`}
              </span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function facts(plan: IPlan, { trans, locale }: ILanguage): ReadonlyArray<Pair> {
  const about = plan.tokens.basis === 'counted' ? '' : '≈ ';
  const pairs: Pair[] = [
    [trans.__('Time'), timeWords(plan, { trans, locale })],
    [trans.__('Steps'), formatCount(plan.steps.total, locale)],
    [trans.__('Tokens seen'), about + formatCount(plan.steps.tokens, locale)],
    [
      trans.__('Rows'),
      plan.data.held_out > 0
        ? trans.__(
            '%1 to learn from, %2 held out',
            formatCount(plan.data.conversations, locale),
            formatCount(plan.data.held_out, locale)
          )
        : formatCount(plan.data.conversations, locale)
    ]
  ];
  if (plan.disk !== null) {
    const { needed, free } = plan.disk;
    pairs.push([
      trans.__('Disk'),
      free === null
        ? formatBytes(needed, locale)
        : trans.__('up to %1 of %2 free', formatBytes(needed, locale), formatBytes(free, locale))
    ]);
  }
  if (plan.download_bytes !== null && plan.download_bytes > 0) {
    pairs.push([trans.__('Download before'), formatBytes(plan.download_bytes, locale)]);
  }
  if (plan.memory !== null && plan.memory.devices > 1) {
    const { devices, sharding, largest_model } = plan.memory;
    pairs.push([trans.__('Devices'), shardingWords(devices, sharding, { trans, locale })]);
    if (largest_model !== '') {
      pairs.push([trans.__('Largest model that fits them'), largest_model]);
    }
  }
  if (plan.memory !== null) {
    pairs.push([
      trans.__('Known by'),
      plan.memory.basis === 'dry run' ? trans.__('a dry run without weights') : trans.__('arithmetic')
    ]);
  }
  return pairs;
}

/** How several devices share a model out. */
function shardingWords(devices: number, sharding: string, { trans }: ILanguage): string {
  switch (sharding) {
    case 'full':
      return trans.__('%1, each with a part of the model (FSDP)', devices);
    case 'offload':
      return trans.__('%1, each with a part of the model (FSDP) in the memory of the host', devices);
    default:
      return trans.__('%1, each with the whole model', devices);
  }
}

/** How long it takes, and how that is known. */
function timeWords({ seconds, rate_from }: IPlan, { trans, locale }: ILanguage): string {
  if (seconds === null) {
    return trans.__('known after the first 20 steps; the run then shows the time left');
  }
  const duration = formatDuration(seconds, locale);
  return rate_from === ''
    ? trans.__('about %1, by an earlier run like it here', duration)
    : trans.__('about %1, reckoned from an earlier run of %2 here', duration, rate_from);
}

/** What else is to be known. */
export function Notices({ notices }: { readonly notices: ReadonlyArray<string> }): JSX.Element | null {
  const { trans } = useApp();
  return notices.length === 0 ? null : (
    <ul className="jp-Qwen3ft-notices" aria-label={trans.__('Notices')}>
      {notices.map((notice, index) => (
        <li key={index}>
          <bdi>{notice}</bdi>
        </li>
      ))}
    </ul>
  );
}
