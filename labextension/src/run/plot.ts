/** A chart on a canvas: lines, bands and markers in the colours of the theme. The one module that knows uPlot. */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { Sight } from '../components/sight';
import type { IRange } from '../domain/curves';
import type { ILook } from './look';
import { isFilled, markerPath } from './look';

/** A line of a chart. */
export interface ILine {
  readonly label: string;
  readonly look: ILook;
  readonly steps: ReadonlyArray<number>;
  readonly values: ReadonlyArray<number | null>;
  /** The same before it was smoothed, or the least and the greatest values: drawn faintly behind it. */
  readonly faint?: ReadonlyArray<ReadonlyArray<number>>;
  /** Whether there are few points, each of which is marked. */
  readonly isMarked?: boolean;
}

/** What a chart shows. */
export interface IPlotData {
  readonly lines: ReadonlyArray<ILine>;
  readonly range: IRange | null;
  readonly isLogarithmic: boolean;
}

/** What a chart is told once. */
export interface IPlotOptions {
  readonly height: number;
  readonly format: (value: number) => string;
  /** Called with the steps that were chosen with the mouse; null for all. */
  readonly onRange: (range: IRange | null) => void;
  /** Called with the step below the mouse; null where it has left. */
  readonly onStep: (step: number | null) => void;
}

/** Markers on a line that has many points. */
const MARKERS = 9;

/** A line with fewer points than this has a marker on each. */
const ALL_MARKED = 30;

type Table = [xs: number[], ...ys: (number | null)[][]];

/** A chart in an element. */
export class Plot {
  constructor(
    private readonly _box: HTMLElement,
    private readonly _options: IPlotOptions
  ) {
    this._sight = new Sight(_box, () => this._isBehind && this._data !== null && this.show(this._data));
  }

  /** Show these lines; a chart that is out of sight does so once it comes into sight. */
  show(data: IPlotData): void {
    const kind = JSON.stringify([
      data.isLogarithmic,
      data.lines.map(line => [line.label, line.faint?.length])
    ]);
    this._data = data;
    this._isBehind = this._plot !== null && !this._sight.isSeen;
    if (this._isBehind) {
      return;
    }
    if (this._plot === null || kind !== this._kind) {
      this._kind = kind;
      this._plot?.destroy();
      this._plot = new uPlot(this._uplotOptions(data), this._table(data), this._box);
    } else {
      this._plot.setData(this._table(data));
    }
  }

  /** Draw it again in the colours that the theme has now. */
  recolor(): void {
    this._plot?.redraw(false, true);
  }

  /** Fill the width of the element. */
  resize(width: number): void {
    if (width > 0 && width !== this._plot?.width) {
      this._plot?.setSize({ width, height: this._options.height });
    }
  }

  /** Mark a step, as the keyboard has it; null for none. */
  point(step: number | null): void {
    const left = step === null ? -10 : (this._plot?.valToPos(step, 'x') ?? -10);
    this._plot?.setCursor({ left, top: step === null ? -10 : 0 }, false);
  }

  /** Draw no more. */
  dispose(): void {
    this._sight.dispose();
    this._plot?.destroy();
    this._plot = null;
  }

  private _table({ lines, isLogarithmic }: IPlotData): uPlot.AlignedData {
    const drawable = (value: number | null) =>
      value === null || (isLogarithmic && value <= 0) ? null : value;
    const tables = lines.flatMap((line): Table[] => {
      const xs = [...line.steps];
      const faint = (line.faint ?? []).map(values => values.map(drawable));
      return [[xs, ...faint, line.values.map(drawable)]];
    });
    const filled = tables.filter(([xs]) => xs.length > 0);
    return filled.length === tables.length
      ? uPlot.join(tables)
      : uPlot.join(
          tables.map(table =>
            table[0].length > 0 ? table : [[0], ...table.slice(1).map(() => [null])]
          ) as Table[]
        );
  }

  private _uplotOptions({ lines, isLogarithmic }: IPlotData): uPlot.Options {
    const { height, format, onRange, onStep } = this._options;
    const axis = {
      stroke: () => this._color('--jp-ui-font-color1'),
      font: `11px ${this._style('--jp-ui-font-family') || 'sans-serif'}`,
      grid: { stroke: () => this._color('--jp-border-color2'), width: 1 },
      ticks: { stroke: () => this._color('--jp-border-color2'), width: 1 }
    };
    return {
      width: Math.max(120, this._box.clientWidth),
      height,
      padding: [8, 20, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, range: (_, least, greatest) => this._xRange(least, greatest) },
        y: isLogarithmic ? { distr: 3 } : { range: (_, least, greatest) => around(least, greatest) }
      },
      axes: [
        {
          ...axis,
          space: 60,
          size: 26,
          values: (_, steps) => steps.map(each => (each % 1 === 0 ? String(each) : ''))
        },
        {
          ...axis,
          space: 34,
          size: (_, texts) => 18 + 7 * Math.max(3, ...(texts ?? []).map(each => each?.length ?? 0)),
          values: (_, values) => values.map(each => (each === null ? '' : format(each)))
        }
      ],
      series: [{}, ...lines.flatMap(line => this._series(line))],
      bands: this._bands(lines),
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => (onRange(null), null) }
      },
      hooks: {
        setCursor: [
          plot =>
            onStep(
              plot.cursor.idx === null || plot.cursor.idx === undefined ? null : plot.data[0][plot.cursor.idx]
            )
        ],
        setSelect: [
          plot => {
            const { left, width } = plot.select;
            if (width > 3) {
              onRange({
                first: Math.floor(plot.posToVal(left, 'x')),
                last: Math.ceil(plot.posToVal(left + width, 'x'))
              });
              plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            }
          }
        ],
        drawSeries: [(plot, index) => this._mark(plot, index)]
      }
    };
  }

  private _series(line: ILine): uPlot.Series[] {
    const isBand = line.faint?.length === 2;
    const faint = (line.faint ?? []).map(() => ({
      stroke: () => (isBand ? 'transparent' : this._color(line.look.color, 0.35)),
      width: 1,
      spanGaps: true,
      points: { show: false }
    }));
    return [
      ...faint,
      {
        stroke: () => this._color(line.look.color),
        width: 2,
        dash: [...line.look.dash],
        spanGaps: true,
        points: { show: false }
      }
    ];
  }

  private _bands(lines: ReadonlyArray<ILine>): uPlot.Band[] {
    let index = 1;
    return lines.flatMap(({ faint = [], look }) => {
      const first = index;
      index += faint.length + 1;
      // uPlot fills from the upper line down to the lower one.
      return faint.length === 2
        ? [{ series: [first + 1, first] as [number, number], fill: () => this._color(look.color, 0.18) }]
        : [];
    });
  }

  /** The markers of a line, on it and so far apart that they can be told from each other. */
  private _mark(plot: uPlot, index: number): void {
    const line = this._lineAt(index);
    if (line === null || this._data === null || (this._data.lines.length < 2 && !line.isMarked)) {
      return; // a line alone is told from no other
    }
    const [xs, ys] = [plot.data[0], plot.data[index]];
    const [from, to] = [plot.scales.x.min ?? 0, plot.scales.x.max ?? 0];
    const places = Array.from(xs).flatMap((x, place) =>
      x >= from && x <= to && ys[place] !== null && ys[place] !== undefined ? [place] : []
    );
    const every =
      line.isMarked && places.length <= ALL_MARKED ? 1 : Math.max(1, Math.ceil(places.length / MARKERS));
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = this._color(line.look.color);
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([]);
    places
      .filter((_, nth) => nth % every === Math.floor(every / 2))
      .forEach(place => {
        const x = plot.valToPos(xs[place], 'x', true);
        const y = plot.valToPos(Number(ys[place]), 'y', true);
        const path = new Path2D(markerPath(line.look.shape, x, y, 3.2 * devicePixelRatio));
        if (isFilled(line.look.shape)) {
          ctx.fill(path);
        } else {
          ctx.stroke(path);
        }
      });
    ctx.restore();
  }

  /** The line of which this is the strong one, null for a faint one. */
  private _lineAt(index: number): ILine | null {
    let last = 0;
    for (const line of this._data?.lines ?? []) {
      last += (line.faint?.length ?? 0) + 1;
      if (last === index) {
        return line;
      }
    }
    return null;
  }

  private _xRange(least: number, greatest: number): [number, number] {
    const range = this._data?.range;
    if (range) {
      return [range.first, range.last];
    }
    return least === greatest ? [least - 1, greatest + 1] : [least, greatest];
  }

  private _style(variable: string): string {
    return getComputedStyle(this._box).getPropertyValue(variable).trim();
  }

  private _color(variable: string, opacity = 1): string {
    const color = this._style(variable) || 'gray';
    return opacity === 1 ? color : `color-mix(in srgb, ${color} ${100 * opacity}%, transparent)`;
  }

  private _data: IPlotData | null = null;
  /** Whether what is drawn is older than what is known. */
  private _isBehind = false;
  private _kind = '';
  private _plot: uPlot | null = null;
  private readonly _sight: Sight;
}

/** Room above and below the values; a curve that is flat lies in the middle. */
function around(least: number | null, greatest: number | null): [number, number] {
  if (least === null || greatest === null) {
    return [0, 1];
  }
  const margin = least === greatest ? Math.abs(least) * 0.1 || 1 : (greatest - least) * 0.06;
  return [least >= 0 ? Math.max(0, least - margin) : least - margin, greatest + margin];
}
