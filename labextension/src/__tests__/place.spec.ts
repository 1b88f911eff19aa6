import { CommandRegistry } from '@lumino/commands';

import { parseCache } from '../api/answers';
import type { IApp } from '../components/context';
import { CommandIDs } from '../domain/commands';
import { placeItem, whereCode } from '../panel/place';
import { Store } from '../state/store';
import { ENGLISH, FakeServer } from './fake';

const COPY = {
  model_name: 'o/n',
  slug: 'o_n',
  commit: 'c0ffee42',
  owner: 'qwen3ft',
  path: '/srv/models/o_n'
};

function copy(fields: Readonly<Record<string, unknown>> = {}) {
  return parseCache({ models: [{ ...COPY, ...fields }] }).models[0];
}

function app(...ids: ReadonlyArray<string>): { readonly app: IApp; readonly done: unknown[] } {
  const done: unknown[] = [];
  const commands = new CommandRegistry();
  ids.forEach(id =>
    commands.addCommand(id, {
      describedBy: { args: { type: 'object' } },
      execute: args => done.push([id, args])
    })
  );
  const store = new Store({ client: new FakeServer().client, events: null, intervalMs: 60_000 });
  return { app: { ...ENGLISH, store, commands }, done };
}

describe('where a copy lies', () => {
  it('is shown in the file browser where that shows it', () => {
    const { app: lab, done } = app(CommandIDs.goToPath, CommandIDs.insertCode);
    const item = placeItem(copy({ browser_path: 'models/o_n' }), lab);
    expect(item?.label).toBe('Show in the file browser');
    item?.onClick();
    expect(done).toEqual([[CommandIDs.goToPath, { path: 'models/o_n' }]]);
  });

  it.each([{ browser_path: null }, {}])(
    'is told by a cell elsewhere, which has no path in it: %j',
    fields => {
      const { app: lab, done } = app(CommandIDs.goToPath, CommandIDs.insertCode);
      placeItem(copy(fields), lab)?.onClick();
      expect(done).toEqual([
        [CommandIDs.insertCode, { source: '%load_ext qwen3ft_jupyter\n%qwen3ft where o/n' }]
      ]);
    }
  );

  it('is told by a cell where there is no file browser, and by nothing where there are no cells either', () => {
    const shown = copy({ browser_path: 'models/o_n' });
    expect(placeItem(shown, app(CommandIDs.insertCode).app)?.label).toBe(
      'Insert a cell that says where it is'
    );
    expect(placeItem(shown, app().app)).toBeNull();
  });

  it('is asked for of this very copy', () => {
    expect(whereCode(copy({ slug: 'o_n@v1' }))).toContain('where o/n --revision c0ffee42');
    expect(whereCode(copy({ owner: 'huggingface' }))).toContain('where o/n --owner huggingface');
  });
});
