import * as React from 'react';

interface IFieldProps {
  readonly label: string;
  readonly className?: string;
  /** Makes the control, which has to have this id. */
  readonly children: (id: string) => React.ReactNode;
}

/** A control below its label. */
export function Field({ label, className = '', children }: IFieldProps): JSX.Element {
  const id = React.useId();
  return (
    <div className={`jp-Qwen3ft-field ${className}`.trim()}>
      <label htmlFor={id}>{label}</label>
      {children(id)}
    </div>
  );
}
