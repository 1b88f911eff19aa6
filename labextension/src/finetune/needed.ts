/** Which fields a form shows: not those of a method or an objective that was not chosen. */

import { text } from '../api/read';
import type { IField } from './fields';
import type { FineTuneModel } from './model';

/** The fields that are of account as things are, and those that somebody has filled in or that are wrong. */
export function shownFields(model: FineTuneModel): ReadonlyArray<IField> {
  // Whoever goes on from a run gets its objective and method without saying so.
  const isInherited = model.text('init_from') !== '' || model.text('from_run') !== '';
  return model.fields.filter(
    ({ name, needs }) =>
      isInherited ||
      needs.every(need => need.values.includes(valueOf(model, need.name))) ||
      model.draft.values[name] !== undefined ||
      model.problemsOf(name).length > 0
  );
}

/** What is filled in, or what holds where nothing is; empty while that is not known. */
function valueOf(model: FineTuneModel, name: string): string {
  return model.text(name) || text(model.checked.value?.defaults[name]);
}
