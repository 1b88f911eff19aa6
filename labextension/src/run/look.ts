/** How the lines of charts look: each has a colour of the theme, a dash and a marker, so that colour is never needed. */

/** The shapes of markers. */
export type Shape = 'circle' | 'square' | 'triangle' | 'diamond' | 'cross' | 'ring';

/** What tells a line from others. */
export interface ILook {
  /** JupyterLab's variable. */
  readonly color: string;
  readonly dash: ReadonlyArray<number>;
  readonly shape: Shape;
}

const LOOKS: ReadonlyArray<ILook> = [
  { color: '--jp-brand-color1', dash: [], shape: 'circle' },
  { color: '--jp-qwen3ft-orange', dash: [6, 3], shape: 'square' },
  { color: '--jp-qwen3ft-green', dash: [2, 3], shape: 'triangle' },
  { color: '--jp-qwen3ft-red', dash: [9, 3, 2, 3], shape: 'diamond' },
  { color: '--jp-qwen3ft-cyan', dash: [12, 4], shape: 'cross' },
  { color: '--jp-ui-font-color1', dash: [4, 2, 1, 2], shape: 'ring' }
];

/** The look of a line by its place; after some there are others of the same colour. */
export function lookOf(index: number): ILook {
  const look = LOOKS[index % LOOKS.length];
  const round = Math.floor(index / LOOKS.length);
  return round === 0
    ? look
    : { ...look, dash: [3 + 4 * round, 2], shape: LOOKS[(index + round) % LOOKS.length].shape };
}

/** The path of a marker around a place. */
export function markerPath(shape: Shape, x: number, y: number, size: number): string {
  const s = size;
  switch (shape) {
    case 'square':
      return `M${x - s},${y - s}h${2 * s}v${2 * s}h${-2 * s}Z`;
    case 'triangle':
      return `M${x},${y - 1.2 * s}L${x + 1.2 * s},${y + s}H${x - 1.2 * s}Z`;
    case 'diamond':
      return `M${x},${y - 1.4 * s}L${x + 1.4 * s},${y}L${x},${y + 1.4 * s}L${x - 1.4 * s},${y}Z`;
    case 'cross':
      return `M${x - s},${y - s}L${x + s},${y + s}M${x + s},${y - s}L${x - s},${y + s}`;
    default:
      return `M${x - s},${y}a${s},${s} 0 1 0 ${2 * s},0a${s},${s} 0 1 0 ${-2 * s},0Z`;
  }
}

/** Whether the marker has an inside that is filled. */
export function isFilled(shape: Shape): boolean {
  return shape !== 'cross' && shape !== 'ring';
}
