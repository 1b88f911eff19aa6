/** What of a stranger's page, a model card, is let onto ours: text, tables, code, and links that lead elsewhere. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

/** No forms, no media, nothing that has an effect; headings below those of the panel. */
const TAGS = (
  'a b blockquote br caption code dd del details div dl dt em h4 h5 h6 hr i img kbd li ol p pre s small span ' +
  'strong sub summary sup table tbody td tfoot th thead tr u ul'
).split(' ');

/** No styles, and no classes or ids: those of JupyterLab could lay a stranger's text over its own buttons. */
const ATTRIBUTES: Record<string, string[]> = {
  a: ['href', 'target', 'rel', 'title'],
  details: ['open'],
  img: ['alt', 'height', 'loading', 'referrerpolicy', 'src', 'width'],
  td: ['align', 'colspan', 'rowspan'],
  th: ['align', 'colspan', 'rowspan']
};

/** The classes that colour code. */
const CLASSES = { code: ['language-*', 'cm-*'], span: ['cm-*', 'tok-*', 'ͼ*'] };

type Attributes = Readonly<Record<string, string>>;

/** A tag in place of another, and text in it. */
interface ITag {
  readonly tagName: string;
  readonly attribs: Attributes;
  readonly text?: string;
}

/**
 * Whether an address leads to another machine: a server of ours, whatever its port, could be made to do something by
 * being asked, such as to log somebody out.
 */
export function isElsewhere(address: string, origin: string): boolean {
  try {
    const { protocol, hostname } = new URL(address);
    return (protocol === 'https:' || protocol === 'http:') && hostname !== new URL(origin).hostname;
  } catch {
    return false; // relative: it would lead to the server of JupyterLab
  }
}

/** A longer card is shown as it was written: what draws it might keep the page busy for minutes. */
const LONGEST_DRAWN = 300_000;

/** Whether a card is drawn as Markdown. */
export function isDrawn(markdown: string): boolean {
  return markdown.length <= LONGEST_DRAWN;
}

/**
 * Whether there are pictures in a card that could be loaded from the network.
 *
 * It is looked at from one beginning of a picture to the next: from each to the end of the text, a stranger's million
 * beginnings would keep the page busy for hours.
 */
export function hasPictures(markdown: string): boolean {
  const from = (beginning: RegExp) => markdown.split(beginning).slice(1);
  return (
    from(/!\[/).some(part => /^[^\]]*\]\(\s*<?https?:/i.test(part)) ||
    from(/<img\b/i).some(part => /^[^>]*\bsrc\s*=\s*["']?https?:/i.test(part))
  );
}

/**
 * A sanitizer for a model card.
 *
 * @param inner - JupyterLab's own, which does the work.
 * @param withPictures - Whether a person wants pictures loaded; else their descriptions stand for them.
 * @param origin - The origin of our page.
 */
export function cardSanitizer(
  inner: IRenderMime.ISanitizer,
  withPictures: boolean,
  origin: string
): IRenderMime.ISanitizer {
  const link = (tagName: string, { href = '', title = '' }: Attributes): ITag => ({
    tagName,
    attribs: isElsewhere(href, origin) ? { href, title, target: '_blank', rel: 'noopener noreferrer' } : {}
  });
  const picture = (tagName: string, { src = '', alt = '', width = '', height = '' }: Attributes): ITag =>
    withPictures && isElsewhere(src, origin)
      ? { tagName, attribs: { src, alt, width, height, loading: 'lazy', referrerpolicy: 'no-referrer' } }
      : { tagName: 'em', attribs: {}, text: alt };
  const heading = (tagName: string) => (): ITag => ({ tagName, attribs: {} });
  const strict = {
    allowedTags: TAGS,
    allowedAttributes: ATTRIBUTES,
    allowedClasses: CLASSES,
    allowedStyles: {},
    transformTags: {
      a: link,
      img: picture,
      h1: heading('h4'),
      h2: heading('h5'),
      h3: heading('h6'),
      h4: heading('h6'),
      h5: heading('h6')
    }
  };
  return {
    sanitize: (dirty, options) => inner.sanitize(dirty, { ...options, ...strict }),
    getAutolink: () => false,
    allowNamedProperties: false,
    allowCommandLinker: false
  };
}
