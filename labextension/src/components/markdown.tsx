import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { MimeModel } from '@jupyterlab/rendermime';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

const MIME_TYPE = 'text/markdown';

/** The least time between two drawings of a text that is being written. */
const SHORTEST_MS = 100;

/** The most: the first drawing loads the parser, which says nothing of the next. */
const LONGEST_MS = 1_000;

/** Of the time, at most a quarter goes to drawing a text anew that grows. */
const REST_PER_DRAWING = 3;

interface IMarkdownProps {
  /** Draws it; its sanitizer decides what of it is let through. */
  readonly rendermime: IRenderMimeRegistry;
  readonly source: string;
}

/** A text in Markdown, drawn by JupyterLab as one that nobody trusts. */
export function Markdown({ rendermime, source }: IMarkdownProps): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  const drawing = React.useRef<Drawing | null>(null);
  // Not `useEffect`: a widget has to be taken off the page before React takes away what it is in.
  React.useLayoutEffect(() => {
    const made = host.current && new Drawing(rendermime, host.current);
    drawing.current = made;
    return () => made?.dispose();
  }, [rendermime]);
  React.useEffect(() => drawing.current?.draw(source), [rendermime, source]);
  return <div ref={host} className="jp-Qwen3ft-markdown" />;
}

/** Draws the newest of many texts, not more often than the page can bear. */
class Drawing {
  constructor(
    rendermime: IRenderMimeRegistry,
    private readonly _host: HTMLElement
  ) {
    this._renderer = rendermime.createRenderer(MIME_TYPE);
    Widget.attach(this._renderer, this._host);
  }

  draw(source: string): void {
    this._source = source;
    if (!this._isWaiting) {
      void this._drawNow();
    }
  }

  dispose(): void {
    this._isDisposed = true;
    this._renderer.dispose();
  }

  private async _drawNow(): Promise<void> {
    this._isWaiting = true;
    const source = this._source;
    const began = performance.now();
    const data = { [MIME_TYPE]: source };
    await this._renderer.renderModel(new MimeModel({ data, trusted: false }));
    const took = performance.now() - began;
    const rest = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, took * REST_PER_DRAWING));
    await new Promise(resolve => setTimeout(resolve, rest));
    this._isWaiting = false;
    if (this._source !== source && !this._isDisposed) {
      await this._drawNow();
    }
  }

  private _isDisposed = false;
  private _isWaiting = false;
  private readonly _renderer: ReturnType<IRenderMimeRegistry['createRenderer']>;
  private _source = '';
}
