import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import * as React from 'react';

import type { IModel } from '../api/answers';
import type { ICard } from '../api/details';
import { Asking, useAsked } from '../components/asked';
import { ActionButton } from '../components/button';
import { useApp, useStore } from '../components/context';
import { Markdown } from '../components/markdown';
import { originName } from '../domain/names';
import { cardSanitizer, hasPictures, isDrawn } from '../domain/untrusted';
import { mainCopy } from '../domain/updates';

interface ICardProps {
  readonly entry: IModel;
  /** Is told which licence the card names. */
  readonly onLicense: (license: string) => void;
}

/** The model card: a hub is asked for that of a model that is not cached, once somebody wants to read it. */
export function CardFold({ entry, onLicense }: ICardProps): JSX.Element {
  const { store, trans } = useApp();
  const { model_name: name } = entry;
  const [isOpen, setOpen] = React.useState(false);
  const asked = useAsked(signal => store.client.card(name, signal));
  const card = asked.value;
  const commit = useStore(({ snapshot }) => mainCopy(snapshot.cache, name)?.commit);
  // An update has another card; no hub is asked for that of a copy. What was read of one that went away stays.
  React.useEffect(() => {
    if ((card !== null || asked.isBusy) && commit !== undefined) {
      asked.ask();
    }
  }, [commit]);
  React.useEffect(() => onLicense(card?.license ?? ''), [card, onLicense]);
  const toggle = (): void => {
    if (!isOpen && card === null) {
      asked.ask();
    }
    setOpen(!isOpen);
  };
  return (
    <>
      <ActionButton
        look="link"
        label={trans.__('Model card')}
        description={trans.__('Model card of %1', name)}
        isExpanded={isOpen}
        onClick={toggle}
      />
      {isOpen && <Asking asked={asked} label={trans.__('Model card of %1', name)} />}
      {isOpen && !asked.isBusy && card === null && (
        <ActionButton
          label={trans.__('Try again')}
          description={trans.__('Try again: model card of %1', name)}
          onClick={asked.ask}
        />
      )}
      {isOpen && card !== null && <CardText card={card} />}
    </>
  );
}

function CardText({ card }: { readonly card: ICard }): JSX.Element {
  const { rendermime, trans } = useApp();
  const [withPictures, setWithPictures] = React.useState(false);
  const text = card.text ?? '';
  const strict = React.useMemo(
    () => (rendermime && isDrawn(text) ? strictly(rendermime, withPictures) : null),
    [rendermime, text, withPictures]
  );
  const isPictured = React.useMemo(() => strict !== null && hasPictures(text), [strict, text]);
  if (text.trim() === '') {
    return <p>{trans.__('This model has no card.')}</p>;
  }
  return (
    <>
      <div className="jp-Qwen3ft-meta">
        {card.hub === ''
          ? trans.__('From the cache; written by the publisher of the model.')
          : trans.__(
              'From %1; written by the publisher of the model.',
              originName(card.model_name, card.hub, trans)
            )}
      </div>
      {isPictured && (
        <ActionButton
          label={withPictures ? trans.__('Hide pictures') : trans.__('Load pictures')}
          description={
            withPictures
              ? trans.__('Hide pictures of %1', card.model_name)
              : trans.__('Load pictures of %1 from the servers that the card names', card.model_name)
          }
          onClick={() => setWithPictures(!withPictures)}
        />
      )}
      <div
        className="jp-Qwen3ft-card"
        tabIndex={0}
        role="region"
        aria-label={trans.__('Model card of %1', card.model_name)}
      >
        {strict ? <Markdown rendermime={strict} source={text} /> : <pre>{text}</pre>}
      </div>
    </>
  );
}

/** A renderer that lets through little; formulas stay as they were written, for what sets them is told what to fetch. */
function strictly(rendermime: IRenderMimeRegistry, withPictures: boolean): IRenderMimeRegistry {
  return rendermime.clone({
    sanitizer: cardSanitizer(rendermime.sanitizer, withPictures, window.location.origin),
    latexTypesetter: { typeset: () => undefined }
  });
}
