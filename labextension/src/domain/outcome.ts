/** What was planned of a run, and what it came to. Pure. */

import { json, number } from '../api/read';
import type { ICurves, IRun, Numbers } from '../api/runs';

/** What is compared, in its order. */
const COMPARED = ['steps', 'tokens', 'seconds', 'memory_bytes'] as const;

/** A number of the plan, and what it came to; null where it is not known. */
export interface IPlanned {
  readonly name: string;
  readonly planned: number | null;
  readonly actual: number | null;
}

/** What was reckoned before the run began: steps, tokens, seconds and memory, as far as they could be. */
export function planOf({ plan, report }: IRun): Numbers {
  const steps = json(plan.steps);
  const known: Readonly<Record<string, number | null>> = {
    steps: number(steps.total),
    tokens: number(steps.tokens),
    seconds: number(plan.seconds),
    memory_bytes: number(json(plan.memory).total),
    ...report?.planned
  };
  return Object.fromEntries(
    Object.entries(known).flatMap(([name, value]) => (value === null ? [] : [[name, value]]))
  );
}

/** The plan beside what happened; of a run that is not finished, so far. */
export function plannedAndActual(run: IRun, curves: ICurves | null): ReadonlyArray<IPlanned> {
  const planned = planOf(run);
  const result = run.result ?? {};
  const actual: Readonly<Record<string, number | null>> = {
    steps: number(result.steps) ?? (curves && curves.last_step),
    tokens: number(result.tokens) ?? lastOf(curves, 'tokens'),
    seconds: number(result.seconds) ?? lastOf(curves, 'seconds'),
    memory_bytes: number(result.peak_bytes) ?? mostOf(curves, 'memory_bytes')
  };
  return COMPARED.map(name => ({ name, planned: planned[name] ?? null, actual: actual[name] })).filter(
    ({ planned: one, actual: other }) => one !== null || other !== null
  );
}

function lastOf(curves: ICurves | null, name: string): number | null {
  const means = curves?.series[name]?.highs.length ? curves.series[name].highs : curves?.series[name]?.means;
  return means?.[means.length - 1] ?? null;
}

function mostOf(curves: ICurves | null, name: string): number | null {
  const one = curves?.series[name];
  const values = one === undefined ? [] : one.highs.length > 0 ? one.highs : one.means;
  return values.length === 0 ? null : values.reduce((most, value) => Math.max(most, value));
}
