/** What the kernel's part of the playground says: `qwen3ft_jupyter/notebook/playground.py`. */

import type { ReadonlyJSONObject } from '@lumino/coreutils';

import type { IProblem, IProgress } from '../api/answers';
import { parseProblem } from '../api/answers';
import type { Known, Reader } from '../api/read';
import { count, flag, isRecord, json, list, maybe, number, oneOf, text } from '../api/read';

/** The name under which a comm finds it. */
export const TARGET = 'qwen3ft.playground';

/** What makes a kernel ready for the comm; it may be run again and again. */
export const SERVE_CODE =
  'from qwen3ft_jupyter.notebook.playground import serve as _serve\n_serve()\ndel _serve';

/** Who answers: the model as it was, or with the adapter of a fine-tune. */
export type Side = 'base' | 'tuned';

/** The sides, in the order in which they answer. */
export const SIDES: ReadonlyArray<Side> = ['base', 'tuned'];

const ENDS = { complete: 1, length: 1, stopped: 1, failed: 1 } as const;
const PHASES = { empty: 1, loading: 1, ready: 1, answering: 1 } as const;
const SIDE_NAMES: Known<Side> = { base: 1, tuned: 1 };

/** One answer, as far as it is written. */
export interface IReply {
  /** With the reasoning, in its tags. */
  readonly text: string;
  readonly tokens: number;
  readonly seconds: number;
  /** How it ended; empty while it is written. */
  readonly end: keyof typeof ENDS | '';
  readonly error: IProblem | null;
}

/** A question and its answers. */
export interface ITurn {
  readonly question: string;
  readonly replies: Readonly<Partial<Record<Side, IReply>>>;
  readonly system: string;
  /** How it was asked: what `AnswerOptions` in Python takes. */
  readonly options: ReadonlyJSONObject;
}

/** How tokens are drawn. */
export interface ISampling {
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly max_new_tokens: number;
}

/** What is known of a loaded model. */
export interface ILoaded {
  readonly hasAdapter: boolean;
  readonly canThink: boolean;
  readonly device: string;
  readonly dtype: string;
  /** What the model's own generation_config says. */
  readonly sampling: ISampling;
}

/** All there is. */
export interface ITold {
  readonly phase: keyof typeof PHASES;
  readonly progress: IProgress | null;
  readonly error: IProblem | null;
  readonly model: ILoaded | null;
  readonly turns: ReadonlyArray<ITurn>;
}

/** Nothing is loaded, nothing was said. */
export const NOTHING: ITold = { phase: 'empty', progress: null, error: null, model: null, turns: [] };

const parseReply: Reader<IReply> = value => {
  const found = json(value);
  return {
    text: text(found.text),
    tokens: count(found.tokens),
    seconds: count(found.seconds),
    end: oneOf(ENDS, '')(found.end),
    error: maybe(parseProblem)(found.error)
  };
};

const parseTurn: Reader<ITurn> = value => {
  const { question, replies, system, options } = json(value);
  const known = SIDES.filter(side => isRecord(json(replies)[side]));
  return {
    question: text(question),
    replies: Object.fromEntries(known.map(side => [side, parseReply(json(replies)[side])])),
    system: text(system),
    options: Object.fromEntries(
      Object.entries(json(options)).flatMap(([name, each]) =>
        typeof each === 'number' || typeof each === 'boolean' ? [[name, each]] : []
      )
    )
  };
};

const parseLoaded: Reader<ILoaded> = value => {
  const found = json(value);
  const sampling = json(found.sampling);
  return {
    hasAdapter: flag(found.has_adapter),
    canThink: flag(found.can_think),
    device: text(found.device),
    dtype: text(found.dtype),
    sampling: {
      temperature: count(sampling.temperature),
      top_p: number(sampling.top_p) ?? 1,
      top_k: count(sampling.top_k),
      max_new_tokens: count(sampling.max_new_tokens)
    }
  };
};

const parseProgress: Reader<IProgress> = value => {
  const found = json(value);
  return {
    phase: text(found.phase),
    phase_words: text(found.phase_words),
    done: count(found.done),
    total: number(found.total),
    unit: text(found.unit),
    unit_words: text(found.unit_words),
    rate: number(found.rate),
    eta_s: number(found.eta_s),
    detail: text(found.detail)
  };
};

const parseState: Reader<ITold> = value => {
  const found = json(value);
  return {
    phase: oneOf(PHASES, 'empty')(found.phase),
    progress: maybe(parseProgress)(found.progress),
    error: maybe(parseProblem)(found.error),
    model: maybe(parseLoaded)(found.model),
    turns: list(found.turns).map(parseTurn)
  };
};

/**
 * What is known after a message. The same where it says nothing new.
 *
 * @param told - What was known before.
 * @param message - Anything: a kernel runs whatever was put into it.
 */
export function afterMessage(told: ITold, message: unknown): ITold {
  const found = json(message);
  switch (found.type) {
    case 'state':
      return parseState(found);
    case 'progress':
      return { ...told, progress: maybe(parseProgress)(found.progress) };
    case 'text':
      return withText(told, found);
    default:
      return told;
  }
}

function withText(told: ITold, found: Readonly<Record<string, unknown>>): ITold {
  const side = oneOf(SIDE_NAMES, '')(found.side);
  const last = told.turns[told.turns.length - 1];
  const reply = side === '' ? undefined : last?.replies[side];
  if (side === '' || reply === undefined) {
    return told;
  }
  const written = {
    ...reply,
    text: reply.text + text(found.text),
    tokens: count(found.tokens),
    seconds: count(found.seconds)
  };
  const turn = { ...last, replies: { ...last.replies, [side]: written } };
  return { ...told, turns: [...told.turns.slice(0, -1), turn] };
}
