import * as React from 'react';

import type { IModel } from '../api/answers';
import { StackBar } from '../components/bar';
import { Badge } from '../components/badge';
import { useApp, useStore } from '../components/context';
import { bestMethod, fitOf, fitWords, mayFit, METHODS, methodWords } from '../domain/fit';
import { formatBytes } from '../domain/format';

interface IFitProps {
  readonly entry: IModel;
}

/** In a word, how a model can be fine-tuned on this machine; nothing where that is not known. */
export function FitBadge({ entry }: IFitProps): JSX.Element | null {
  const app = useApp();
  const { trans } = app;
  const machine = useStore(({ snapshot }) => snapshot.machine);
  const best = bestMethod(entry, machine);
  if (best !== null) {
    const words = trans.__('Fits: %1', methodWords(best, app));
    return (
      <Badge title={trans.__('The memory of this machine is enough to fine-tune it like that')}>
        {words}
      </Badge>
    );
  }
  if (mayFit(entry, machine)) {
    return null;
  }
  return (
    <Badge look="warning" title={trans.__('Even with QLoRA it takes more memory than this machine has')}>
      {trans.__('Too large here')}
    </Badge>
  );
}

/** The memory that each method takes, beside what there is. */
export function FitTable({ entry }: IFitProps): JSX.Element | null {
  const app = useApp();
  const { trans, locale } = app;
  const machine = useStore(({ snapshot }) => snapshot.machine);
  const known = METHODS.filter(method => entry.memory_bytes[method] !== null);
  if (known.length === 0) {
    return null;
  }
  const whole = machine?.total_bytes ?? Math.max(...known.map(method => entry.memory_bytes[method] ?? 0));
  return (
    <table className="jp-Qwen3ft-fit">
      <caption>
        {machine === null
          ? trans.__('Memory it takes')
          : machine.name === ''
            ? trans.__('Memory it takes, of the %1 of this machine', formatBytes(machine.total_bytes, locale))
            : trans.__(
                'Memory it takes, of the %1 of %2',
                formatBytes(machine.total_bytes, locale),
                machine.name
              )}
      </caption>
      <tbody>
        {known.map(method => {
          const need = entry.memory_bytes[method] ?? 0;
          const fit = fitOf(need, machine);
          return (
            <tr key={method}>
              <th scope="row">{methodWords(method, app)}</th>
              <td className="jp-Qwen3ft-fitBar">
                <StackBar
                  whole={whole}
                  parts={[{ size: need, look: fit === 'too-large' ? 'warning' : 'series0' }]}
                />
              </td>
              <td className="jp-Qwen3ft-fitSize">{formatBytes(need, locale)}</td>
              <td>{fitWords(fit, app)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
