/** Text of strangers, shown so that everything in it is seen and nothing of it acts. Pure. */

/** The names of characters that cannot be seen, some of which change how others are shown. */
const NAMES: Readonly<Record<string, string>> = {
  '\u0000': 'NUL',
  '\u0007': 'BEL',
  '\u0008': 'BS',
  '\u000d': 'CR',
  '\u001b': 'ESC',
  '\u007f': 'DEL',
  '\u00ad': 'SHY',
  '\u061c': 'ALM',
  '\u200b': 'ZWSP',
  '\u200e': 'LRM',
  '\u200f': 'RLM',
  '\u2028': 'LS',
  '\u2029': 'PS',
  '\u202a': 'LRE',
  '\u202b': 'RLE',
  '\u202c': 'PDF',
  '\u202d': 'LRO',
  '\u202e': 'RLO',
  '\u2060': 'WJ',
  '\u2066': 'LRI',
  '\u2067': 'RLI',
  '\u2068': 'FSI',
  '\u2069': 'PDI',
  '\ufeff': 'BOM'
};

// Control characters but the end of a line; and those of NAMES.
const UNSEEN =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/g;

/**
 * Replace what cannot be seen by what can: an escape by `⟨ESC⟩`, a right-to-left mark by `⟨RLM⟩`; tabs and the ends of
 * lines are marked.
 */
export function visible(given: string): string {
  return given.replace(UNSEEN, nameOf).replace(/\n/g, '↵\n');
}

function nameOf(each: string): string {
  const code = each.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  return each === '\t' ? '⇥' : `⟨${NAMES[each] ?? `U+${code}`}⟩`;
}
