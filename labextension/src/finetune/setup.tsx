import { checkIcon, closeIcon, folderIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Badge } from '../components/badge';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { formatBytes, formatParameters } from '../domain/format';
import { AbsentData } from './absent';
import { useDesk, useModel } from './context';
import { Downloading } from './downloading';
import { changesFor } from './draft';
import { Problems } from './field';

// Names, which are the same in every language.
const EXAMPLE = 'Qwen/Qwen3-0.6B';
const LORA = 'LoRA';
const QLORA = 'QLoRA';

/** The model: one of those there are, or any other by its name. */
export function ModelChoice(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  const models = useStore(({ snapshot }) => snapshot.models);
  const id = React.useId();
  const problems = model.problemsOf('model');
  return (
    <section className="jp-Qwen3ft-part" data-field="model" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>
        <label htmlFor={id}>{trans.__('Model')}</label>
      </h2>
      <input
        id={id}
        className="jp-Qwen3ft-input"
        type="text"
        list={`${id}-models`}
        autoComplete="off"
        spellCheck={false}
        aria-invalid={problems.length > 0 || undefined}
        aria-describedby={`${id}-problem ${id}-facts`}
        placeholder={EXAMPLE}
        value={model.text('model')}
        onChange={event => model.set(changesFor(model.draft, event.target.value))}
      />
      <datalist id={`${id}-models`}>
        {models.map(each => (
          <option key={each.model_name} value={each.model_name}>
            {each.cached ? trans.__('in the cache') : each.role_words}
          </option>
        ))}
      </datalist>
      <Problems id={`${id}-problem`} problems={problems} />
      <div id={`${id}-facts`}>
        <ModelFacts />
      </div>
    </section>
  );
}

function ModelFacts(): JSX.Element | null {
  const { store, trans, locale } = useApp();
  const name = useModel().text('model');
  const entry = useStore(({ snapshot }) => snapshot.models.find(each => each.model_name === name));
  const isBusy = useStore(each => each.isDownloading(name));
  if (name === '') {
    return null;
  }
  const parameters = entry?.parameters ?? null;
  const bytes = entry?.download_bytes ?? null;
  return (
    <>
      <div className="jp-Qwen3ft-facts">
        {entry?.cached && (
          <Badge look="success" icon={checkIcon}>
            {trans.__('On this disk')}
          </Badge>
        )}
        {parameters !== null && (
          <span>{trans.__('%1 parameters', formatParameters(parameters, locale))}</span>
        )}
        {entry !== undefined && !entry.cached && (
          <>
            {bytes !== null && <span>{trans.__('%1 to download', formatBytes(bytes, locale))}</span>}
            <ActionButton
              label={trans.__('Download')}
              description={trans.__('Download %1', name)}
              isBusy={isBusy}
              onClick={() => void store.actions.download(name)}
            />
          </>
        )}
      </div>
      <Downloading name={name} />
    </>
  );
}

/** The data: files from the file browser, chosen or dropped, and data sets of a hub by their names. */
export function DataChoice(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  const { chooseFiles } = useDesk();
  const [name, setName] = React.useState('');
  const id = React.useId();
  const problems = model.problemsOf('data');
  const add = () => {
    if (name.trim() !== '') {
      model.addData([name.trim()]);
      setName('');
    }
  };
  return (
    <section className="jp-Qwen3ft-part jp-mod-data" data-field="data" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{trans.__('Data')}</h2>
      {model.data.length > 0 && (
        <ul className="jp-Qwen3ft-dataFiles" aria-label={trans.__('Chosen data')}>
          {model.data.map(each => (
            <li key={each}>
              <bdi>{each}</bdi>
              <ActionButton
                icon={closeIcon}
                isIconOnly
                label={trans.__('Remove %1', each)}
                onClick={() => model.set({ data: model.data.filter(other => other !== each) })}
              />
            </li>
          ))}
        </ul>
      )}
      <AbsentData />
      <div className="jp-Qwen3ft-dataRow">
        {chooseFiles && (
          <ActionButton
            icon={folderIcon}
            look={model.data.length === 0 ? 'primary' : 'plain'}
            label={trans.__('Choose files…')}
            onClick={() => void chooseFiles().then(chosen => model.addData(chosen))}
          />
        )}
        <span className="jp-Qwen3ft-dropHint">{trans.__('or drag them here from the file browser')}</span>
      </div>
      <form
        className="jp-Qwen3ft-dataRow"
        onSubmit={event => {
          event.preventDefault();
          add();
        }}
      >
        <input
          id={id}
          className="jp-Qwen3ft-input"
          type="text"
          autoComplete="off"
          spellCheck={false}
          aria-label={trans.__('A data set on a hub, or a path')}
          aria-invalid={problems.length > 0 || undefined}
          aria-describedby={`${id}-problem ${id}-help`}
          placeholder={trans.__('owner/name of a data set on a hub, or a path')}
          value={name}
          onChange={event => setName(event.target.value)}
          onBlur={add}
        />
        <ActionButton isSubmit label={trans.__('Add')} description={trans.__('Add the data set or path')} />
      </form>
      <Problems id={`${id}-problem`} problems={problems} />
      <p id={`${id}-help`} className="jp-Qwen3ft-help">
        {trans.__(
          'Questions and answers (messages, alpaca, sharegpt) as jsonl, json, csv, tsv, parquet or xlsx. Write #500 behind a name for 500 rows of it.'
        )}
      </p>
    </section>
  );
}

interface ICardProps {
  readonly value: string;
  readonly title: string;
  readonly text: string;
}

interface ICardsProps {
  readonly title: string;
  readonly field: string;
  readonly cards: ReadonlyArray<ICardProps>;
  readonly chosen: string;
  readonly onChoose: (value: string) => void;
}

/** A few choices that exclude each other, each with a sentence. */
function Cards({ title, field, cards, chosen, onChoose }: ICardsProps): JSX.Element {
  const model = useModel();
  const id = React.useId();
  const problems = model.problemsOf(field);
  return (
    <fieldset className="jp-Qwen3ft-part" data-field={field} aria-describedby={`${id}-problem`}>
      <legend>
        <h2>{title}</h2>
      </legend>
      <div className="jp-Qwen3ft-cards">
        {cards.map(card => (
          <label key={card.value} className={card.value === chosen ? 'jp-mod-chosen' : ''}>
            <input
              type="radio"
              name={id}
              value={card.value}
              checked={card.value === chosen}
              aria-labelledby={`${id}-${card.value}-title`}
              aria-describedby={`${id}-${card.value}`}
              onChange={() => onChoose(card.value)}
            />
            <span className="jp-Qwen3ft-cardTitle" id={`${id}-${card.value}-title`}>
              {card.title}
            </span>
            <span className="jp-Qwen3ft-help" id={`${id}-${card.value}`}>
              {card.text}
            </span>
          </label>
        ))}
      </div>
      <Problems id={`${id}-problem`} problems={problems} />
    </fieldset>
  );
}

/** How much of the model is trained, and how it is kept meanwhile. */
export function MethodChoice(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  const method = model.text('method') === 'full' ? 'full' : model.text('quantization') ? 'qlora' : 'lora';
  return (
    <Cards
      title={trans.__('Method')}
      field="method"
      chosen={method}
      onChoose={value =>
        model.set({
          method: value === 'full' ? 'full' : 'lora',
          quantization: value === 'qlora' ? '4bit' : null
        })
      }
      cards={[
        {
          value: 'lora',
          title: LORA,
          text: trans.__('A small adapter beside the model. What nearly everyone takes.')
        },
        {
          value: 'qlora',
          title: QLORA,
          text: trans.__('The same over a model in 4 bits: a quarter of its memory.')
        },
        {
          value: 'full',
          title: trans.__('Full'),
          text: trans.__('Every weight: many times the memory, and the result is as large as the model.')
        }
      ]}
    />
  );
}

/** How long and how thoroughly. */
export function GoalChoice(): JSX.Element {
  const { trans } = useApp();
  const model = useModel();
  return (
    <Cards
      title={trans.__('Goal')}
      field="preset"
      chosen={model.text('preset') || 'own'}
      onChoose={value => model.set({ preset: value === 'own' ? null : value })}
      cards={[
        {
          value: 'quick',
          title: trans.__('Quick look'),
          text: trans.__('50 steps: does it learn at all?')
        },
        {
          value: 'balanced',
          title: trans.__('Balanced'),
          text: trans.__('Two passes over the data, some of it kept for measuring.')
        },
        {
          value: 'thorough',
          title: trans.__('Thorough'),
          text: trans.__('Three passes, a larger adapter, longer samples.')
        },
        {
          value: 'own',
          title: trans.__('My own'),
          text: trans.__('The defaults, and what you set under Advanced.')
        }
      ]}
    />
  );
}
