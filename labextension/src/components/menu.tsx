import { CommandRegistry } from '@lumino/commands';
import { caretDownIcon, ellipsesIcon, MenuSvg } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ActionButton } from './button';

/** One line of a menu. */
export interface IMenuItem {
  readonly label: string;
  /** Whether it is what holds now, of several that exclude each other. */
  readonly isChosen?: boolean;
  readonly onClick: () => void;
}

interface IMenuProps {
  readonly label: string;
  /** What the menu is for; begins with the label. */
  readonly description?: string;
  readonly items: ReadonlyArray<IMenuItem>;
  readonly isIconOnly?: boolean;
  readonly isBusy?: boolean;
}

/** A button that opens a menu; the menu is JupyterLab's, keyboard and all. */
export function MenuButton(props: IMenuProps): JSX.Element {
  const { label, description, items, isIconOnly, isBusy } = props;
  return (
    <ActionButton
      icon={isIconOnly ? ellipsesIcon : caretDownIcon}
      isIconOnly={isIconOnly}
      hasMenu
      label={label}
      description={description}
      isBusy={isBusy}
      onClick={button => openMenu(button, items)}
    />
  );
}

function openMenu(button: HTMLElement, items: ReadonlyArray<IMenuItem>): void {
  const commands = new CommandRegistry();
  const menu = new MenuSvg({ commands });
  items.forEach((item, index) => {
    const command = String(index);
    commands.addCommand(command, {
      label: item.label,
      describedBy: { args: { type: 'object', properties: {} } },
      isToggleable: item.isChosen !== undefined,
      isToggled: () => item.isChosen === true,
      execute: item.onClick
    });
    menu.addItem({ command });
  });
  menu.aboutToClose.connect(() => {
    button.focus();
    // The menu runs the chosen command after it has closed.
    setTimeout(() => menu.dispose());
  });
  const { left, bottom } = button.getBoundingClientRect();
  menu.open(left, bottom);
}
