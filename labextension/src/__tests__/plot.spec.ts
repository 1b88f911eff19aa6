import { lookOf } from '../run/look';
import { Plot } from '../run/plot';
import { FakeSight } from './fake';

/** How often uPlot was told to draw. */
const mockDrawn = { new: 0, again: 0 };

jest.mock('uplot', () => {
  class Drawing {
    static join = (tables: unknown[]) => tables;
    constructor() {
      mockDrawn.new += 1;
    }
    setData(): void {
      mockDrawn.again += 1;
    }
    destroy = () => undefined;
  }
  return { __esModule: true, default: Drawing };
});

describe('a chart', () => {
  let sight: FakeSight;
  let plot: Plot;

  beforeEach(() => {
    Object.assign(mockDrawn, { new: 0, again: 0 });
    sight = new FakeSight();
    plot = new Plot(document.createElement('div'), {
      height: 100,
      format: String,
      onRange: () => undefined,
      onStep: () => undefined
    });
  });

  afterEach(() => {
    plot.dispose();
    sight.dispose();
  });

  const show = (last: number, label = 'loss') =>
    plot.show({
      lines: [{ label, look: lookOf(0), steps: [1, last], values: [3, 2] }],
      range: null,
      isLogarithmic: false
    });

  it('is drawn at first, and again for what is new', () => {
    show(2);
    show(3);
    expect(mockDrawn).toEqual({ new: 1, again: 1 });
  });

  it('is not drawn while it is out of sight, and once when it comes into sight', () => {
    show(2);
    sight.tell(false);
    for (let step = 3; step < 103; step++) {
      show(step);
    }
    expect(mockDrawn).toEqual({ new: 1, again: 0 });
    sight.tell(true);
    expect(mockDrawn).toEqual({ new: 1, again: 1 });
  });

  it('is not drawn again when it comes into sight and nothing is new', () => {
    show(2);
    sight.tell(false);
    sight.tell(true);
    expect(mockDrawn).toEqual({ new: 1, again: 0 });
  });
});
