import type { AccordionPanel } from '@lumino/widgets';
import { SidePanel } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';

import type { ISections } from '../domain/sections';
import { parseSections } from '../domain/sections';
import { fillPanel } from '../panel/contents';
import { Store } from '../state/store';
import { ENGLISH, FakeServer } from './fake';

const NOTHING: ISections = { folded: [], sizes: [] };

describe('what was kept of the sections', () => {
  it('is read as it was written', () => {
    const kept = { folded: [false, true, false], sizes: [0.5, 0, 0.5] };
    expect(parseSections(JSON.parse(JSON.stringify(kept)))).toEqual(kept);
  });

  it.each([
    undefined,
    null,
    'x',
    [],
    { folded: [true], sizes: [1] },
    { folded: true, sizes: [0, 0, 0] },
    { sizes: [1, -1, 1] },
    { sizes: [1, null, 1] }
  ])('is nothing where it is none: %j', value => {
    expect(parseSections(value)).toEqual(NOTHING);
  });
});

describe('the sections', () => {
  let panel: SidePanel;
  let told: ISections[];

  function fill(kept: ISections): AccordionPanel {
    const store = new Store({ client: new FakeServer().client, events: null, intervalMs: 60_000 });
    const app = { ...ENGLISH, store, commands: new CommandRegistry() };
    panel = new SidePanel();
    told = [];
    panel.header.addWidget(fillPanel(panel, app, kept, sections => told.push(sections)));
    Widget.attach(panel, document.body);
    return panel.content as AccordionPanel;
  }

  beforeAll(() => {
    global.ResizeObserver ??= class {
      observe(): void {}
      unobserve(): void {}
      disconnect(): void {}
    };
  });

  afterEach(() => panel.dispose());

  const folds = (content: AccordionPanel) => content.widgets.map(each => each.isHidden);

  it('are open at first', () => {
    expect(folds(fill(NOTHING))).toEqual([false, false, false]);
  });

  it('are as they were left before they are drawn, and to restore them is no change', () => {
    const content = fill({ folded: [false, true, true], sizes: [0.6, 0.2, 0.2] });
    expect(folds(content)).toEqual([false, true, true]);
    expect(content.titles.map(title => title.getAttribute('aria-expanded'))).toEqual([
      'true',
      'false',
      'false'
    ]);
    expect(told).toEqual([]);
  });

  it('are kept when one is folded or opened; sizes only once somebody has moved a border', () => {
    const content = fill(NOTHING);
    content.collapse(2);
    expect(told).toEqual([{ folded: [false, false, true], sizes: [] }]);
    content.expand(2);
    expect(told.at(-1)?.folded).toEqual([false, false, false]);
  });
});
