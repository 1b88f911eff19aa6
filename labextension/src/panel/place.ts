/** Where a copy lies: shown in the file browser where that can show it, else told by a cell. */

import type { ICached } from '../api/answers';
import type { IApp } from '../components/context';
import type { IMenuItem } from '../components/menu';
import { isHere } from '../domain/cache';
import { CommandIDs } from '../domain/commands';
import { isBeside } from '../domain/jobs';

/** What shows where a copy lies; null where nothing here can. */
export function placeItem(entry: ICached, { commands, trans }: IApp): IMenuItem | null {
  if (entry.browser_path !== '' && commands.hasCommand(CommandIDs.goToPath)) {
    return {
      label: trans.__('Show in the file browser'),
      onClick: () => void commands.execute(CommandIDs.goToPath, { path: entry.browser_path })
    };
  }
  return commands.hasCommand(CommandIDs.insertCode)
    ? {
        label: trans.__('Insert a cell that says where it is'),
        onClick: () => void commands.execute(CommandIDs.insertCode, { source: whereCode(entry) })
      }
    : null;
}

/** The code that prints the folder of this very copy. */
export function whereCode(entry: ICached): string {
  const revision = isBeside(entry) ? ` --revision ${entry.commit || entry.revision}` : '';
  const owner = isHere(entry) ? '' : ` --owner ${entry.owner}`;
  return `%load_ext qwen3ft_jupyter\n%qwen3ft where ${entry.model_name}${revision}${owner}`;
}
