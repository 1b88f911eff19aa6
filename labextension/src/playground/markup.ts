/** What a model wrote as Markdown that has no HTML and fetches nothing. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const SPAN = /(`+)(?!`)([\s\S]*?[^`])\1(?!`)/g;

/**
 * Escape HTML, so that it is shown as it was written, and images, so that reading an answer asks no stranger's server.
 * Code is left as it is: there Markdown itself escapes.
 */
export function plainMarkdown(source: string): string {
  const parts: string[] = [];
  let prose: string[] = [];
  let fence = '';
  const flush = () => {
    if (prose.length > 0) {
      parts.push(escapeProse(prose.join('\n')));
      prose = [];
    }
  };
  for (const line of source.split('\n')) {
    const mark = FENCE.exec(line)?.[1] ?? '';
    if (fence === '' && mark !== '') {
      flush();
      fence = mark;
      parts.push(line);
    } else if (fence !== '') {
      parts.push(line);
      fence = closes(line, fence) ? '' : fence;
    } else {
      prose.push(line);
    }
  }
  flush();
  return parts.join('\n');
}

function closes(line: string, fence: string): boolean {
  const bare = line.trim();
  return bare.length >= fence.length && bare === fence[0].repeat(bare.length);
}

function escapeProse(prose: string): string {
  let done = 0;
  let escaped = '';
  for (const span of prose.matchAll(SPAN)) {
    escaped += escapeText(prose.slice(done, span.index)) + span[0];
    done = (span.index ?? 0) + span[0].length;
  }
  return escaped + escapeText(prose.slice(done));
}

function escapeText(text: string): string {
  return text.replace(/</g, '&lt;').replace(/!\[/g, '\\![');
}

/** Attributes that say what is asked of a server as soon as an element is there. */
const FETCHED = ['src', 'srcset', 'poster'];

/** An element as the sanitizer of JupyterLab has it, which is that of the package sanitize-html. */
interface IFrame {
  readonly attribs: Readonly<Record<string, string>>;
}

/**
 * A sanitizer that lets nothing through by which a page asks a server when it is shown: where a parser takes for prose
 * what `plainMarkdown` took for code, there are pictures in it all the same. Diagrams that JupyterLab draws stay.
 */
export function fetchingNothing(inner: IRenderMime.ISanitizer): IRenderMime.ISanitizer {
  const strict = {
    allowedStyles: { '*': {} }, // a background may be a picture
    exclusiveFilter: ({ attribs }: IFrame) =>
      FETCHED.some(name => attribs[name] !== undefined && !/^data:/i.test(attribs[name]))
  };
  return {
    sanitize: (dirty, options) => inner.sanitize(dirty, { ...options, ...strict }),
    getAutolink: () => inner.getAutolink?.() ?? true,
    get allowNamedProperties() {
      return inner.allowNamedProperties;
    },
    get allowCommandLinker() {
      return false;
    }
  };
}
