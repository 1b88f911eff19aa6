import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { FocusKeeper } from '../components/focus';
import { eventually } from './fake';

/** Rows of buttons, by their words. */
type Rows = Readonly<Record<string, ReadonlyArray<string>>>;

class Panel extends ReactWidget {
  rows: Rows = {};
  /** Whether the field has a button of its own. */
  hasMore = false;

  protected override render(): JSX.Element {
    return (
      <FocusKeeper>
        <button className="jp-mod-danger">Delete all</button>
        <button>Refresh</button>
        <div data-field="data">
          {this.hasMore && <button>Download</button>}
          <input />
        </div>
        {Object.keys(this.rows).length > 0 && (
          <ul>
            {Object.entries(this.rows).map(([name, words]) => (
              <li key={name}>
                {words.map(word => (
                  <button key={word} className={word === 'Delete' ? 'jp-mod-danger' : ''}>
                    {word}
                  </button>
                ))}
              </li>
            ))}
          </ul>
        )}
      </FocusKeeper>
    );
  }
}

let panel: Panel;

async function show(rows: Rows): Promise<void> {
  panel.rows = rows;
  panel.update();
  await eventually(() => {
    const drawn = [...panel.node.querySelectorAll('li')].map(row =>
      [...row.querySelectorAll('button')].map(button => button.textContent)
    );
    expect(drawn).toEqual(Object.values(rows));
  });
}

function focus(row: number, word: string): void {
  const buttons = [...panel.node.querySelectorAll('li')[row].querySelectorAll('button')];
  buttons.find(button => button.textContent === word)?.focus();
}

/** The row and the word of the button that has the focus, -1 outside of all rows. */
function focused(): string {
  const rows = [...panel.node.querySelectorAll('li')];
  const active = document.activeElement;
  return active === document.body
    ? ''
    : `${rows.findIndex(row => row.contains(active))} ${active?.textContent}`;
}

describe('FocusKeeper', () => {
  beforeEach(() => {
    panel = new Panel();
    Widget.attach(panel, document.body);
  });

  afterEach(() => {
    panel.dispose();
  });

  it('gives the focus of a button that went to the first one of its row', async () => {
    await show({ a: ['Load'], b: ['Pause', 'Stop', 'Log'] });
    focus(1, 'Stop');
    await show({ a: ['Load'], b: ['Resume', 'Log'] });
    expect(focused()).toBe('1 Resume');
  });

  it('gives the focus of a row that went to the one that came to its place, else to the last', async () => {
    await show({ a: ['Load', 'Delete'], b: ['Load', 'Delete'], c: ['Load', 'Delete'] });
    focus(1, 'Delete');
    await show({ a: ['Load', 'Delete'], c: ['Load', 'Delete'] });
    expect(focused()).toBe('1 Load');
    focus(1, 'Delete');
    await show({ a: ['Load', 'Delete'] });
    expect(focused()).toBe('0 Load');
  });

  it('knows the place of a row before which others came', async () => {
    await show({ a: ['Load', 'Forget'], b: ['Load'] });
    focus(0, 'Forget');
    await show({ new: ['Log'], a: ['Load', 'Forget'], b: ['Load'] });
    await show({ new: ['Log'], b: ['Load'] });
    expect(focused()).toBe('1 Load');
  });

  it('gives the focus to no button that deletes', async () => {
    await show({ a: ['Delete'] });
    focus(0, 'Delete');
    await show({});
    expect(focused()).toBe('-1 Refresh');
  });

  it('gives the focus of a button about a field to the field', async () => {
    panel.hasMore = true;
    await show({ a: ['Load'] });
    panel.node.querySelector<HTMLElement>('[data-field] button')?.focus();
    panel.hasMore = false;
    await show({ a: ['Load', 'Stop'] });
    expect(document.activeElement?.tagName).toBe('INPUT');
  });

  it('takes the focus from nobody', async () => {
    await show({ a: ['Stop'] });
    focus(0, 'Stop');
    (document.activeElement as HTMLElement).blur();
    await show({ a: ['Resume'] });
    expect(focused()).toBe('');
  });
});
