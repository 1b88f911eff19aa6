import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

interface IButtonProps {
  readonly label: string;
  /** What the button does and to what; begins with the label, so that speech input finds it. */
  readonly description?: string;
  readonly icon?: LabIcon;
  readonly look?: 'plain' | 'primary' | 'danger' | 'link';
  readonly isIconOnly?: boolean;
  readonly isSubmit?: boolean;
  /** An action is under way. */
  readonly isBusy?: boolean;
  readonly isDisabled?: boolean;
  /** For buttons that open and close something. */
  readonly isExpanded?: boolean;
  /** For buttons that switch something on and off. */
  readonly isPressed?: boolean;
  /** For buttons that open a menu. */
  readonly hasMenu?: boolean;
  readonly onClick?: (button: HTMLButtonElement) => void;
}

/** A button with an icon; where there is no room for words they are its tooltip and accessible name. */
export function ActionButton(props: IButtonProps): JSX.Element {
  const { icon: Icon, label, description, look = 'plain', isIconOnly, isBusy, onClick } = props;
  const classes = ['jp-Qwen3ft-button', `jp-mod-${look}`, isIconOnly ? 'jp-mod-iconOnly' : ''];
  return (
    <button
      type={props.isSubmit ? 'submit' : 'button'}
      className={classes.join(' ').trim()}
      title={description ?? (isIconOnly ? label : undefined)}
      aria-label={description ?? label}
      aria-busy={isBusy || undefined}
      // Not `disabled`: that would take the focus from whoever pressed it with the keyboard.
      aria-disabled={isBusy || undefined}
      aria-expanded={props.isExpanded}
      aria-haspopup={props.hasMenu ? 'menu' : undefined}
      aria-pressed={props.isPressed}
      disabled={props.isDisabled}
      onClick={event => {
        if (isBusy) {
          event.preventDefault();
        } else {
          onClick?.(event.currentTarget);
        }
      }}
    >
      {Icon && <Icon.react tag="span" className="jp-Qwen3ft-buttonIcon" aria-hidden="true" />}
      {!isIconOnly && <span>{label}</span>}
    </button>
  );
}
