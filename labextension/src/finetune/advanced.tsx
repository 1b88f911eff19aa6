import * as React from 'react';

import { ActionButton } from '../components/button';
import { useApp } from '../components/context';
import { useModel } from './context';
import { Field } from './field';
import type { IField } from './fields';
import { shownFields } from './needed';
import type { Section } from './sections';
import { SECTIONS, sectionTitle, UP_FRONT } from './sections';

/** Everything that is not asked for up front, in groups that open when something in them is wrong. */
export function Advanced(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  const fields = shownFields(model).filter(field => !UP_FRONT.has(field.name));
  const wrong = fields.filter(field => model.problemsOf(field.name).length > 0);
  const changed = fields.filter(field => model.draft.values[field.name] !== undefined);
  return (
    <Fold title={trans.__('Advanced')} level={2} changed={changed.length} wrong={wrong.length}>
      {Object.keys(SECTIONS).map(name => {
        const section = name as Section; // its own key
        const own = fields.filter(field => field.section === section);
        return (
          own.length > 0 && (
            <Fold
              key={section}
              title={sectionTitle(section, trans)}
              level={3}
              changed={own.filter(field => changed.includes(field)).length}
              wrong={own.filter(field => wrong.includes(field)).length}
            >
              <Fields fields={own} />
            </Fold>
          )
        );
      })}
    </Fold>
  );
}

function Fields({ fields }: { readonly fields: ReadonlyArray<IField> }): JSX.Element {
  return (
    <div className="jp-Qwen3ft-fields">
      {fields.map(field => (
        <Field key={field.name} field={field} />
      ))}
    </div>
  );
}

interface IFoldProps {
  readonly title: string;
  readonly level: 2 | 3;
  readonly changed: number;
  readonly wrong: number;
  readonly children: React.ReactNode;
}

/** A part that is closed at first; what is wrong in it opens it. Its content is drawn once it is seen. */
function Fold({ title, level, changed, wrong, children }: IFoldProps): JSX.Element {
  const { trans } = useApp();
  const [isOpen, setOpen] = React.useState(false);
  React.useEffect(() => {
    if (wrong > 0) {
      setOpen(true);
    }
  }, [wrong > 0]);
  const Heading = level === 2 ? 'h2' : 'h3';
  return (
    <details
      className={`jp-Qwen3ft-fold jp-mod-level${level}`}
      open={isOpen}
      onToggle={event => setOpen(event.currentTarget.open)}
    >
      <summary>
        <Heading>{title}</Heading>
        {changed > 0 && (
          <span className="jp-Qwen3ft-meta">{trans._n('%1 changed', '%1 changed', changed, changed)}</span>
        )}
        {wrong > 0 && (
          <span className="jp-Qwen3ft-wrong">{trans._n('%1 is wrong', '%1 are wrong', wrong, wrong)}</span>
        )}
      </summary>
      {isOpen && children}
    </details>
  );
}

/** What a file says that no field is for: told, and dropped only when somebody says so. */
export function Unknown(): JSX.Element | null {
  const { trans } = useApp();
  const model = useModel();
  const names = Object.keys(model.draft.rest);
  if (names.length === 0) {
    return null;
  }
  return (
    <section className="jp-Qwen3ft-part" aria-label={trans.__('Fields without a place in this form')}>
      <h2>{trans.__('Fields without a place in this form')}</h2>
      <ul className="jp-Qwen3ft-dataFiles">
        {names.map(name => (
          <li key={name} data-field={name}>
            <span>
              <code>{name}</code> <bdi>{JSON.stringify(model.draft.rest[name])}</bdi>
              {model.problemsOf(name).map(problem => (
                <span key={problem} className="jp-Qwen3ft-refusal">
                  {problem}
                </span>
              ))}
            </span>
            <ActionButton
              label={trans.__('Remove')}
              description={trans.__('Remove %1', name)}
              onClick={() => model.dropUnknown(name)}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}
