import * as React from 'react';

import { useApp } from '../components/context';
import type { IRange } from '../domain/curves';
import { nearest } from '../domain/curves';
import { formatCount } from '../domain/format';
import type { ILook } from './look';
import { isFilled, markerPath } from './look';
import type { ILine } from './plot';
import { Plot } from './plot';

interface IChartProps {
  readonly title: string;
  readonly lines: ReadonlyArray<ILine>;
  readonly range: IRange | null;
  readonly isLogarithmic?: boolean;
  readonly height?: number;
  readonly format: (value: number) => string;
  readonly onRange: (range: IRange | null) => void;
}

/** A chart with its legend. The mouse, or the arrow keys, read the values of a step; a table has them all. */
export function Chart(props: IChartProps): JSX.Element {
  const { title, lines, range, format, height = 190, isLogarithmic = false } = props;
  const { trans, locale } = useApp();
  const box = React.useRef<HTMLDivElement>(null);
  const plot = React.useRef<Plot | null>(null);
  const onRange = React.useRef(props.onRange);
  onRange.current = props.onRange;
  const [step, setStep] = React.useState<number | null>(null);
  React.useLayoutEffect(() => {
    if (box.current === null) {
      return;
    }
    const made = new Plot(box.current, {
      height,
      format,
      onRange: chosen => onRange.current(chosen),
      onStep: setStep
    });
    plot.current = made;
    return followPage(box.current, made);
  }, [height, locale]);
  React.useLayoutEffect(
    () => plot.current?.show({ lines, range, isLogarithmic }),
    [lines, range, isLogarithmic, height, locale]
  );
  const steps = allSteps(lines, range);
  const shown = step ?? steps[steps.length - 1] ?? 0;
  const words = lines.map(line => `${line.label} ${valueWords(line, shown, format)}`).join('; ');
  const move = (to: number | null) => {
    plot.current?.point(to);
    setStep(to);
  };
  return (
    <figure className="jp-Qwen3ft-chart">
      <figcaption>
        <span className="jp-Qwen3ft-chartTitle">{title}</span>
        <span className="jp-Qwen3ft-meta">{trans.__('Step %1', formatCount(shown, locale))}</span>
      </figcaption>
      <div
        ref={box}
        className="jp-Qwen3ft-plot"
        role="slider"
        tabIndex={0}
        aria-label={trans.__('%1: read by step with the arrow keys', title)}
        aria-valuemin={steps[0] ?? 0}
        aria-valuemax={steps[steps.length - 1] ?? 0}
        aria-valuenow={shown}
        aria-valuetext={trans.__('Step %1: %2', formatCount(shown, locale), words)}
        onKeyDown={event => {
          const to = stepAfter(event.key, steps, shown);
          if (to !== null) {
            event.preventDefault();
            event.stopPropagation();
            move(to);
          }
        }}
        onBlur={() => move(null)}
      />
      <ul className="jp-Qwen3ft-legend" aria-label={trans.__('Lines')}>
        {lines.map(line => (
          <li key={line.label}>
            <Swatch look={line.look} />
            <span className="jp-Qwen3ft-legendName">{line.label}</span>
            <span className="jp-Qwen3ft-legendValue">{valueWords(line, shown, format)}</span>
          </li>
        ))}
      </ul>
    </figure>
  );
}

/** How a line looks: its dash and its marker, in its colour. */
export function Swatch({ look }: { readonly look: ILook }): JSX.Element {
  const color = `var(${look.color})`;
  return (
    <svg className="jp-Qwen3ft-swatch" viewBox="0 0 28 10" aria-hidden="true">
      <path d="M0,5H28" stroke={color} strokeWidth="2" strokeDasharray={look.dash.join(' ')} />
      <path
        d={markerPath(look.shape, 14, 5, 3)}
        stroke={color}
        fill={isFilled(look.shape) ? color : 'none'}
        strokeWidth="1.5"
      />
    </svg>
  );
}

/** Keep the chart as wide as its box, and in the colours of the theme; returns what ends that. */
function followPage(box: HTMLElement, plot: Plot): () => void {
  const sizes = new ResizeObserver(() => plot.resize(box.clientWidth));
  sizes.observe(box);
  // JupyterLab says so on the body once the style sheet of another theme is there.
  const themes = new MutationObserver(() => requestAnimationFrame(() => plot.recolor()));
  themes.observe(document.body, { attributeFilter: ['data-jp-theme-name', 'data-jp-theme-light'] });
  return () => {
    sizes.disconnect();
    themes.disconnect();
    plot.dispose();
  };
}

function allSteps(lines: ReadonlyArray<ILine>, range: IRange | null): ReadonlyArray<number> {
  const all = new Set(lines.flatMap(line => line.steps));
  return [...all]
    .filter(step => range === null || (step >= range.first && step <= range.last))
    .sort((a, b) => a - b);
}

/** The value of a line at a step, or at the latest before it; a dash where there is none yet. */
function valueWords({ steps, values }: ILine, step: number, format: (value: number) => string): string {
  const place = nearest(steps, step);
  const before = place >= 0 && steps[place] > step ? place - 1 : place;
  const value = before < 0 ? null : (values[before] ?? null);
  return value === null ? '–' : format(value);
}

/** Where a key leads, null for one that leads nowhere. */
function stepAfter(key: string, steps: ReadonlyArray<number>, step: number): number | null {
  const place = nearest(steps, step);
  const page = Math.max(1, Math.round(steps.length / 20));
  const last = steps.length - 1;
  const to = {
    ArrowLeft: place - 1,
    ArrowDown: place - 1,
    ArrowRight: place + 1,
    ArrowUp: place + 1,
    PageDown: place - page,
    PageUp: place + page,
    Home: 0,
    End: last
  }[key];
  return to === undefined || last < 0 ? null : steps[Math.min(last, Math.max(0, to))];
}
