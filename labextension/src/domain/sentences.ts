/**
 * What the server says in sentences of a fixed form, in the language of the interface.
 *
 * The server's messages are English everywhere: they are searched for, and they carry a code. Those that people meet
 * often are known here; any other stays as it is.
 */

import type { Translate } from './language';
import { sourceName } from './names';

/** The sentences in the language of `trans`; where a name or number stands, the placeholder stays. */
function sentences(trans: Translate): ReadonlyArray<string> {
  return [
    // Why a hub cannot be reached
    trans.__('%1: the name cannot be looked up.', '%1'),
    trans.__('%1 refuses connections.', '%1'),
    trans.__('%1 cannot be connected to.', '%1'),
    trans.__('%1 took the connection but does not answer.', '%1'),
    trans.__('%1: its certificate is not trusted.', '%1'),
    trans.__('%1: the proxy does not let the connection through.', '%1'),
    trans.__('%1: the address is malformed.', '%1'),
    trans.__('%1 broke off the connection.', '%1'),
    trans.__('%1 went silent.', '%1'),
    trans.__('%1 broke off the transfer.', '%1'),
    trans.__('Is there a network?'),
    trans.__('Behind a proxy, set HTTPS_PROXY.'),
    trans.__('Is the address right, and is a firewall or proxy in between?'),
    trans.__(
      'Behind a company proxy, set REQUESTS_CA_BUNDLE to its certificate file; otherwise check the clock.'
    ),
    trans.__('Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.'),
    trans.__('Check the endpoint settings.'),
    trans.__('Try again.'),
    trans.__('Try again later.'),
    trans.__('Try again in a few minutes.'),
    trans.__('Using %1 instead.', '%1'),
    // What a hub answers
    trans.__('%1 has no model called %2.', '%1', '%2'),
    trans.__('Check the spelling.'),
    trans.__('If the model is private, set %1.', '%1'),
    trans.__('%1 does not give access to %2.', '%1', '%2'),
    trans.__(
      "The token may be wrong, expired or another account's: renew it on the hub's page and set %1.",
      '%1'
    ),
    trans.__("If you have access, create a token on the hub's page and set %1.", '%1'),
    trans.__('%1 gives out %2 only to those who accepted its licence.', '%1', '%2'),
    trans.__('Accept it on %1, then set %2.', '%1', '%2'),
    trans.__('Accept it on %1.', '%1'),
    trans.__('%1: %2 has no revision "%3".', '%1', '%2', '%3'),
    trans.__('The default branch is "%1".', '%1'),
    trans.__('There are: %1.', '%1'),
    trans.__('%1 answered with HTTP %2.', '%1', '%2'),
    trans.__('Check the endpoint setting, or try again.'),
    trans.__('%1 has too many requests from this address.', '%1'),
    trans.__('%1 is failing (HTTP %2).', '%1', '%2'),
    trans.__('Try again in a few minutes, or use the other hub.'),
    trans.__('Try again; if it stays so, use the other hub.'),
    // Names
    trans.__('Qwen never published "%1".', '%1'),
    trans.__('Did you mean "%1"?', '%1'),
    trans.__('It follows instructions without the word in its name.'),
    trans.__('"%1" has no owner.', '%1'),
    trans.__('Write it as owner/name, for example "%1".', '%1'),
    trans.__('%1 is not the name of a model.', '%1'),
    // Transfers and the disk
    trans.__('What arrived is kept; start it again to go on.'),
    trans.__('The download was stopped.'),
    trans.__("Check your token, and that you accepted the model's licence on its page."),
    trans.__('If this network has a login page, open it in a browser first; else try again later.'),
    trans.__(
      'Not enough room in the cache for %1: %2 are needed, %3 are free; %4 (%5 bytes) are missing.',
      '%1',
      '%2',
      '%3',
      '%4',
      '%5'
    ),
    trans.__('%1, or set MODEL_CACHE_DIR to a larger volume.', '%1'),
    trans.__(
      '%1 does not fit into the quota of %2: %3 (%4 bytes) are missing even if every model goes that is neither pinned nor in use.',
      '%1',
      '%2',
      '%3',
      '%4'
    ),
    trans.__('Raise MODEL_CACHE_QUOTA, or unpin or evict a model.'),
    trans.__('To stay within the quota of %1, the least recently used models are evicted: %2.', '%1', '%2'),
    trans.__('%1: the volume is full or the quota is used up.', '%1'),
    trans.__('Free some room and start again: what has arrived is kept.'),
    trans.__('%1: the cache folder cannot be written (%2).', '%1', '%2'),
    trans.__('Set MODEL_CACHE_DIR to a folder you may write to.'),
    trans.__('Start again: what has arrived is kept.'),
    trans.__('If it happens again, check the volume.'),
    trans.__('Start again.'),
    trans.__('%1: the bytes received do not have the listed digest, again and again.', '%1'),
    trans.__('Something between here and the hub changes the file.'),
    trans.__('Try another network, proxy or hub.'),
    trans.__('%1: was cut on this disk while it arrived.', '%1'),
    // Sources beside the hub
    trans.__('%1 has other files for %2.', '%1', '%2'),
    trans.__('%1 cannot be asked.', '%1'),
    trans.__('Going on without it.'),
    trans.__('Going on from %1.', '%1'),
    trans.__('%1: %2 broke off.', '%1', '%2'),
    trans.__('%1: %2 sends less than %3 bytes a second.', '%1', '%2', '%3'),
    trans.__('%1: %2 sends whole files only.', '%1', '%2'),
    trans.__('%1: %2 does not list it.', '%1', '%2'),
    trans.__('%1: %2 lists it but does not have it (HTTP %3).', '%1', '%2', '%3'),
    trans.__('%1: %2 answered HTTP %3.', '%1', '%2', '%3'),
    trans.__('%1: no source has it.', '%1'),
    trans.__('Allow another hub, or try again later.'),
    trans.__('%1: %2 sent wrong bytes; it is put aside for the rest of this download.', '%1', '%2'),
    trans.__('%1: %2 ranges changed on this disk since they arrived; fetching them again.', '%1', '%2'),
    trans.__('%1: the bytes do not have the listed digest; fetching %2 again.', '%1', '%2'),
    // What is on this disk already
    trans.__('Copied %1 from the %2 on this disk instead of downloading.', '%1', '%2'),
    trans.__('%1: the copy in the %2 has other bytes than the hub lists; it is not used.', '%1', '%2'),
    // The cache
    trans.__('%1 is not in the cache, and the network is switched off.', '%1'),
    trans.__('Allow the network (QWEN3FT_OFFLINE=0) and download it.'),
    trans.__('Download it when you are online.'),
    trans.__('%1 is not in the cache.', '%1'),
    trans.__('%1 lies in a shared cache, which is only read.', '%1'),
    trans.__('%1 is being downloaded.', '%1'),
    trans.__('Stop the download first.'),
    trans.__('Stop the job first.'),
    trans.__('Another process is downloading this model; waiting for it.'),
    trans.__('%1: %2: missing or wrong; fetching what is damaged.', '%1', '%2'),
    trans.__('%1: %2 in the cache: missing or changed.', '%1', '%2'),
    trans.__('%1 of the damaged files are right and need not travel again.', '%1'),
    trans.__('%1: its folder changed while it was repaired.', '%1'),
    trans.__("%1 is not the hub's file; it was moved to %2.", '%1', '%2'),
    trans.__('%1 was not compared with a hub (%2): it is used as it is, unverified.', '%1', '%2'),
    trans.__('Asking for the present state of the model.'),
    trans.__('Trying %1.', '%1'),
    // Jobs
    trans.__('There is no job %1.', '%1'),
    trans.__('Stop it first.'),
    trans.__('The job did not stop by itself in time and was ended.'),
    trans.__('Start a new one.'),
    trans.__('Memory ran out.'),
    trans.__('Close other notebooks, or ask for less.'),
    trans.__('Unexpected error: %1.', '%1'),
    trans.__("The end of the job's log shows where and why."),
    // Fine-tuning
    trans.__('%1 does not exist.', '%1'),
    trans.__('%1 cannot be read.', '%1'),
    trans.__("Check the path; relative ones start at the notebook's folder."),
    trans.__('Correct them all.'),
    trans.__('Name another folder, resume that run, or set overwrite: true.'),
    trans.__('Resume goes on from there.'),
    trans.__('%1: %2 rows, format %3', '%1', '%2', '%3'),
    trans.__('%1 samples, %2 tokens, %3 of them in the loss.', '%1', '%2', '%3'),
    trans.__('%1 samples shortened to max_length.', '%1'),
    trans.__('%1 answers left out: they do not fit max_length.', '%1'),
    trans.__("%1 answers learned without their reasoning: this model's template does not write it.", '%1'),
    trans.__('Resuming from %1.', '%1'),
    trans.__('No complete checkpoint: starting again.'),
    trans.__("The GPU's memory ran out while training."),
    trans.__('Lower batch_size or max_length, or set activation_checkpointing: true.'),
    trans.__('Lower learning_rate, or train in bfloat16 or float32.')
  ];
}

/** What the server puts into a sentence besides names and numbers. */
function phrases(trans: Translate): ReadonlyArray<string> {
  return [
    trans.__('Evict %1', '%1'),
    trans.__('Free some room'),
    trans.__('%1 in %2 file', '%1', '%2'),
    trans.__('%1 in %2 files', '%1', '%2'),
    trans.__('%1 and %2 more', '%1', '%2'),
    trans.__('what is most doubtful'),
    trans.__('the file'),
    trans.__('what others brought'),
    trans.__('the network is switched off')
  ];
}

const PLACEHOLDER = /%(\d)/g;

/** Texts with placeholders, and what finds them in English. */
class Phrasebook {
  constructor(private readonly _texts: (trans: Translate) => ReadonlyArray<string>) {
    this.english = _texts({ __: text => text });
    this._patterns = this.english.map(text => new RegExp(`^${escaped(text).replace(PLACEHOLDER, '(.+?)')}$`));
  }

  /** The texts as the server says them. */
  readonly english: ReadonlyArray<string>;

  /** What was said, in the language of `trans`; null where it is not known. */
  say(said: string, trans: Translate): string | null {
    for (const [index, pattern] of this._patterns.entries()) {
      const values = pattern.exec(said);
      if (values !== null) {
        const spoken = this._spoken(trans)[index];
        // Not translated: then neither is what stands in it.
        return spoken === this.english[index]
          ? said
          : spoken.replace(PLACEHOLDER, (_, place: string) => valueWords(values[Number(place)] ?? '', trans));
      }
    }
    return null;
  }

  private _spoken(trans: Translate): ReadonlyArray<string> {
    const known = this._languages.get(trans) ?? this._texts(trans);
    this._languages.set(trans, known);
    return known;
  }

  /** Bundles of one language each; the tests have more than one. */
  private readonly _languages = new WeakMap<Translate, ReadonlyArray<string>>();
  private readonly _patterns: ReadonlyArray<RegExp>;
}

const SENTENCES = new Phrasebook(sentences);
const PHRASES = new Phrasebook(phrases);

/** Everything the server is known to say. */
export const ENGLISH_TEXTS: ReadonlyArray<string> = [...SENTENCES.english, ...PHRASES.english];

/**
 * What the server said, in the language of the interface.
 *
 * @param said - One or more sentences. If one of them is not known, all stay as they are: no mixture of languages.
 */
export function serverWords(said: string, trans: Translate): string {
  const parts = said.split(/(?<=[.?!]) /);
  const words = parts.map(part => SENTENCES.say(part, trans));
  if (!words.every(word => word !== null)) {
    return said;
  }
  // Chinese sentences end in a mark as wide as a character; no space goes after it.
  return words.join(' ').replace(/([。？！]) /g, '$1');
}

/** What stands in a placeholder: mostly a name or a number, but also a source, a phrase, or a list with remarks. */
function valueWords(value: string, trans: Translate): string {
  const phrase = PHRASES.say(value, trans);
  if (phrase !== null) {
    return phrase;
  }
  return sourceName(value, trans)
    .replace(LAST_USED, (_, name: string, size: string, moment: string) =>
      trans.__('%1 (%2, last used %3)', name, size, moment)
    )
    .replace(AGAIN_FROM, (_, what: string, source: string) =>
      trans.__('%1 from %2', valueWords(what, trans), valueWords(source, trans))
    )
    .replace(AT_REVISION, (_, name: string, revision: string) => trans.__('%1 at %2', name, revision))
    .split(/(?<=\)) and /)
    .reduce((first, second) => trans.__('%1 and %2', first, second));
}

/** A model that makes room: its name, its revision if there are several, its size and when it was used. */
const LAST_USED = /([^ ,]+(?: at [^ ,]+)?) \(([^()]+), last used ([^()]+)\)/g;

/** What is fetched again, and from whom. */
const AGAIN_FROM = /^(the file|what others brought) from (.+)$/;

/** One of several revisions of a model. */
const AT_REVISION = /([^ ,]+\/[^ ,]+) at ([^ ,(（]+)/g;

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
