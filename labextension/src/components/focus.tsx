import * as React from 'react';

/** The focused element, and where it stands. */
interface IPlace {
  readonly element: Element;
  /** The rows it is in, the innermost first. */
  readonly rows: ReadonlyArray<IRow>;
  /** The part of a form that it is in: all about one field. */
  readonly part: Element | null;
}

interface IRow {
  readonly row: Element;
  readonly list: Element | null;
  readonly index: number;
}

/**
 * Keeps the place of whoever uses the keyboard: a button that goes away once it has done its work, alone or with its
 * row, leaves the focus to what stands there now, not to the page.
 */
export function FocusKeeper({ children }: { readonly children: React.ReactNode }): JSX.Element {
  const box = React.useRef<HTMLDivElement>(null);
  const place = React.useRef<IPlace | null>(null);
  React.useEffect(() => {
    // Whichever component drew what is new.
    const observer = new MutationObserver(() => {
      const last = place.current;
      if (last?.element.isConnected) {
        place.current = placeOf(last.element); // rows come and go around it
      } else if (last !== null && document.activeElement === document.body) {
        successorOf(last, box.current)?.focus();
      }
    });
    if (box.current) {
      observer.observe(box.current, { childList: true, subtree: true });
    }
    return () => observer.disconnect();
  }, []);
  return (
    <div
      ref={box}
      onFocus={event => {
        place.current = placeOf(event.target);
      }}
      // Not told when the element is removed: React hears no events while it changes the page.
      onBlur={() => {
        place.current = null;
      }}
    >
      {children}
    </div>
  );
}

function placeOf(element: Element): IPlace {
  const rows: IRow[] = [];
  for (let row = element.closest('li'); row !== null; row = row.parentElement?.closest('li') ?? null) {
    const list = row.parentElement;
    rows.push({ row, list, index: list === null ? 0 : [...list.children].indexOf(row) });
  }
  return { element, rows, part: element.closest('[data-field]') };
}

/** The first button of the row, else of the one that came to its place, else the field it was about, else of the whole. */
function successorOf({ rows, part }: IPlace, box: Element | null): HTMLElement | null {
  for (const { row, list, index } of rows) {
    const neighbours = list?.isConnected ? [list.children[index], list.children[index - 1]] : [];
    for (const candidate of row.isConnected ? [row] : neighbours) {
      const button = buttonIn(candidate);
      if (button !== null) {
        return button;
      }
    }
  }
  const field = part?.isConnected ? part.querySelector<HTMLElement>('input:enabled') : null;
  return field ?? buttonIn(box);
}

/** Not one that deletes: a key that is pressed once too often shall do no harm. */
function buttonIn(element: Element | null | undefined): HTMLElement | null {
  return element?.querySelector<HTMLElement>('button:enabled:not(.jp-mod-danger)') ?? null;
}
