import { parseMachine, parseModels } from '../api/answers';
import { bestMethod, fitOf, fitWords, mayFit, METHODS, methodWords } from '../domain/fit';
import { ENGLISH } from './fake';

const GIB = 2 ** 30;
const machine = (gib: number) => parseMachine({ name: '', total_bytes: gib * GIB });
const [MODEL, UNKNOWN] = parseModels({
  models: [
    {
      model_name: 'o/n',
      memory_bytes: { load: 4 * GIB, qlora: 6 * GIB, lora: 12 * GIB, full: 60 * GIB }
    },
    { model_name: 'o/other', memory_bytes: null }
  ]
});

describe('fitOf', () => {
  it('compares what is needed with what there is', () => {
    expect(fitOf(6 * GIB, machine(24))).toBe('fits');
    expect(fitOf(23 * GIB, machine(24))).toBe('tight');
    expect(fitOf(25 * GIB, machine(24))).toBe('too-large');
  });

  it('claims nothing where one of them is not known', () => {
    expect(fitOf(null, machine(24))).toBe('unknown');
    expect(fitOf(6 * GIB, null)).toBe('unknown');
    expect(fitOf(6 * GIB, machine(0))).toBe('unknown');
  });
});

describe('the method that suits a machine', () => {
  it('is the one that takes the most memory of those that fit', () => {
    expect([2, 8, 24, 80].map(gib => bestMethod(MODEL, machine(gib)))).toEqual([
      null,
      'qlora',
      'lora',
      'full'
    ]);
  });

  it('rules out only what certainly does not fit', () => {
    expect(mayFit(MODEL, machine(5))).toBe(false);
    expect(mayFit(MODEL, machine(6))).toBe(true);
    expect(mayFit(MODEL, null)).toBe(true);
    expect(mayFit(UNKNOWN, machine(1))).toBe(true);
    expect(bestMethod(UNKNOWN, machine(1))).toBeNull();
  });

  it('has words for a person', () => {
    expect(METHODS.map(method => methodWords(method, ENGLISH))).toEqual([
      'Load',
      'QLoRA',
      'LoRA',
      'Full fine-tuning'
    ]);
    expect(fitWords('too-large', ENGLISH)).toBe('too large');
  });
});
