/**
 * What the server says in sentences of a fixed form, in the language of the interface.
 *
 * The server's messages are English everywhere: they are searched for, and they carry a code. Those that people meet
 * often are known here; any other stays as it is.
 */

import type { TranslationBundle } from '@jupyterlab/translation';

type Translate = Pick<TranslationBundle, '__'>;

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
      'Not enough room in the cache: %1 are to be downloaded, %2 are free; %3 (%4 bytes) are missing.',
      '%1',
      '%2',
      '%3',
      '%4'
    ),
    trans.__('Evict a model you no longer need, or set MODEL_CACHE_DIR to a larger volume.'),
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
    // Jobs
    trans.__('There is no job %1.', '%1'),
    trans.__('Stop it first.'),
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
    trans.__("The GPU's memory ran out while training."),
    trans.__('Lower batch_size or max_length, or set activation_checkpointing: true.'),
    trans.__('Lower learning_rate, or train in bfloat16 or float32.')
  ];
}

const PLACEHOLDER = /%(\d)/g;

/** The sentences as the server says them. */
export const ENGLISH_SENTENCES = sentences({ __: text => text });

const PATTERNS = ENGLISH_SENTENCES.map(
  sentence => new RegExp(`^${escaped(sentence).replace(PLACEHOLDER, '(.+?)')}$`)
);

/** Bundles of one language each; the tests have more than one. */
const spoken = new WeakMap<Translate, ReadonlyArray<string>>();

/**
 * What the server said, in the language of the interface.
 *
 * @param said - One or more sentences. If one of them is not known, all stay as they are: no mixture of languages.
 */
export function serverWords(said: string, trans: Translate): string {
  const parts = said.split(/(?<=[.?!]) /);
  const words = parts.map(part => sentenceWords(part, trans));
  if (!words.every(word => word !== null)) {
    return said;
  }
  // Chinese sentences end in a mark as wide as a character; no space goes after it.
  return words.join(' ').replace(/([。？！]) /g, '$1');
}

function sentenceWords(said: string, trans: Translate): string | null {
  for (const [index, pattern] of PATTERNS.entries()) {
    const values = pattern.exec(said);
    if (values !== null) {
      return inLanguage(trans)[index].replace(PLACEHOLDER, (_, place: string) => values[Number(place)] ?? '');
    }
  }
  return null;
}

function inLanguage(trans: Translate): ReadonlyArray<string> {
  const known = spoken.get(trans) ?? sentences(trans);
  spoken.set(trans, known);
  return known;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
