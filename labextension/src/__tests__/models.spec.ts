import { parseModels } from '../api/answers';
import { inOrder, PRACTICE_MODEL } from '../domain/models';

const MODELS = parseModels({
  models: [
    { model_name: 'o/a', role: 'quick experiments' },
    { model_name: 'o/b' },
    { model_name: 'o/c', role: 'higher quality' },
    { model_name: 'o/d' },
    { model_name: PRACTICE_MODEL, role: 'practice', catalogued: false }
  ]
});

describe('inOrder', () => {
  it('puts the practice model after the recommended ones', () => {
    const names = inOrder(MODELS, false).map(each => each.model_name);
    expect(names).toEqual(['o/a', 'o/b', 'o/c', PRACTICE_MODEL, 'o/d']);
  });

  it('puts it first where no hub can be reached', () => {
    const names = inOrder(MODELS, true).map(each => each.model_name);
    expect(names).toEqual([PRACTICE_MODEL, 'o/a', 'o/b', 'o/c', 'o/d']);
  });

  it('does without it', () => {
    expect(inOrder(MODELS.slice(0, 2), true)).toEqual(MODELS.slice(0, 2));
  });
});
