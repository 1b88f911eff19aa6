/** The parts of an answer. */
export interface IParts {
  /** The reasoning; null where there is none. */
  readonly thought: string | null;
  readonly answer: string;
  /** Whether the reasoning is still being written. */
  readonly isThinking: boolean;
}

const OPEN = '<think>';
const CLOSE = '</think>';

/** Part the reasoning from the answer; an empty think block is no reasoning. */
export function splitThinking(text: string): IParts {
  const begun = text.trimStart();
  const end = text.lastIndexOf(CLOSE);
  if (end >= 0) {
    const thought = text.slice(0, end).replace(OPEN, '').trim();
    return { thought: thought || null, answer: text.slice(end + CLOSE.length).trim(), isThinking: false };
  }
  if (begun.startsWith(OPEN)) {
    return { thought: begun.slice(OPEN.length).trim(), answer: '', isThinking: true };
  }
  // The tag arrives in pieces; half of one is no answer yet.
  const isBegun = begun !== '' && OPEN.startsWith(begun);
  return { thought: null, answer: isBegun ? '' : text.trim(), isThinking: false };
}
