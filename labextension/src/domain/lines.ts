/** Text from elsewhere, line by line, so that it can be shown: nothing in it moves, hides or colours anything. Pure. */

/** Colours and movements of the cursor, links and titles, as terminals understand them. */
const TERMINAL = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;

/** What else is not to be seen but has an effect: control characters, and such as turn the direction of what follows. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** A line without what only terminals understand; what else cannot be seen is named. */
export function plainLine(line: string): string {
  return line
    .replace(TERMINAL, '')
    .replace(
      UNSEEN,
      character => `‹U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}›`
    );
}

/** The lines of a text; of a line that was written over and over, as progress bars are, the last. */
export function linesOf(text: string): ReadonlyArray<string> {
  const lines = text.replace(/\r\n/g, '\n').split('\n');
  if (lines[lines.length - 1] === '') {
    lines.pop();
  }
  return lines.map(line => plainLine(line.replace(/\r+$/, '').replace(/^.*\r/s, '')));
}

/** A line of a log, by its number among those that are known. */
export interface INumbered {
  readonly index: number;
  readonly line: string;
}

/** The lines that hold a text, in either case; all of them where nothing is searched for. */
export function matching(lines: ReadonlyArray<string>, wanted: string): ReadonlyArray<INumbered> {
  const searched = wanted.toLowerCase();
  return lines.flatMap((line, index) =>
    searched === '' || line.toLowerCase().includes(searched) ? [{ index, line }] : []
  );
}
