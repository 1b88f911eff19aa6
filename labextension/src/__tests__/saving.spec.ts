import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Widget } from '@lumino/widgets';

import { FirstSave } from '../notebook/saving';

describe('FirstSave', () => {
  const cell = new Widget();
  const output = new Widget();
  output.parent = cell;
  let saved: number;
  let model: { dirty: boolean; readOnly: boolean; collaborative: boolean };
  let contentsModel: { writable: boolean } | null;
  let autosave: boolean | undefined;

  beforeEach(() => {
    saved = 0;
    model = { dirty: true, readOnly: false, collaborative: false };
    contentsModel = { writable: true };
    autosave = undefined;
  });

  function firstSave(settings: ISettingRegistry | null = registry()): FirstSave {
    const context = {
      model,
      get contentsModel() {
        return contentsModel;
      },
      save: async () => void saved++
    };
    // Of a notebook and of its tracker, no more is asked.
    const panel = { content: { widgets: [new Widget(), cell] }, context } as unknown as NotebookPanel;
    const tracker = { find: (test: (each: NotebookPanel) => boolean) => [panel].find(test) };
    return new FirstSave(tracker as unknown as INotebookTracker, settings);
  }

  function registry(): ISettingRegistry {
    return { load: async () => ({ composite: { autosave } }) } as unknown as ISettingRegistry;
  }

  it('saves a notebook when it first shows a job, and not again', async () => {
    const saving = firstSave();
    await saving.save(output, 'a');
    await saving.save(output, 'a');
    expect(saved).toBe(1);
    await saving.save(output, 'b');
    expect(saved).toBe(2);
  });

  it('saves where the application has no settings', async () => {
    await firstSave(null).save(output, 'a');
    const failing = { load: async () => Promise.reject(new Error('none')) };
    await firstSave(failing as unknown as ISettingRegistry).save(output, 'a');
    expect(saved).toBe(2);
  });

  it('leaves a notebook alone that its user saves by hand', async () => {
    autosave = false;
    await firstSave().save(output, 'a');
    expect(saved).toBe(0);
  });

  it.each([
    ['that has been opened as it was saved', () => (model.dirty = false)],
    ['that is read-only', () => (model.readOnly = true)],
    ['that the server keeps', () => (model.collaborative = true)],
    ['that cannot be written', () => (contentsModel = { writable: false })]
  ])('does not save a notebook %s', async (_, change) => {
    change();
    await firstSave().save(output, 'a');
    expect(saved).toBe(0);
  });

  it('does not save for an output that is in no notebook', async () => {
    await firstSave().save(new Widget(), 'a');
    expect(saved).toBe(0);
  });
});
