"""Turns conversations into token sequences with the loss on what the assistant says, and on nothing else.

Every answer is learned behind exactly the prompt it would be given behind at inference: the model's own chat template
renders the turns before it with the generation prompt, and what it renders further with the answer is the target.
Where a later prompt begins with the earlier prompt and answer (templates without think blocks), one sequence carries
several answers; where the template rewrites history (Qwen3 drops think blocks from earlier turns), each has its own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData, LoadError, Stopped, UnsafeModel
from qwen3ft_jupyter.finetune.rows import row_words
from qwen3ft_jupyter.finetune.samples import IGNORED, Sample, SampleReport
from qwen3ft_jupyter.finetune.special import GUARD, SpecialTokens, special_tokens
from qwen3ft_jupyter.finetune.written import find_unwritten
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from qwen3ft_jupyter.finetune.formats import Conversation
    from qwen3ft_jupyter.finetune.turns import ChatMessage
    from qwen3ft_jupyter.loading.libraries import Tokenizer
    from qwen3ft_jupyter.work import Work

BATCH = 32
"""Conversations rendered and tokenized at once: enough to hide the round trip, few enough to stop in time."""

PART_CHARACTERS = 2_000_000
"""Of conversations rendered at once, a longer one alone: each is written three times, in a process of little memory."""

MIN_KEPT_TOKENS = 16
"""A question of which less than this would be left is not worth keeping."""

CUT_MARK = "\n…\n"
"""Stands where the middle of a question was cut out."""

EMPTY_THINK = re.compile(r"\s*(?:<think>)?\s*</think>\s*")
"""What is left of an empty think block at the start of an answer when the prompt ends inside of or before it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer and the turns before it."""

    before: tuple[ChatMessage, ...]
    answer: ChatMessage
    tools: str
    where: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A turn as text: the prompt, then what the template wrote for the answer: first `masked`, then `target`."""

    turn: Turn
    prompt: str
    masked: str
    target: str

    @property
    def text(self) -> str:
        """Return all of it."""
        return self.prompt + self.masked + self.target


class Encoder:
    """Renders and tokenizes conversations for one model."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        renderer: TemplateRenderer,
        *,
        max_length: int,
        empty_think_loss: bool = False,
        skip_bad_rows: bool = False,
    ) -> None:
        """Take a transformers tokenizer and the renderer of its template."""
        self._tokenizer = tokenizer
        self._renderer = renderer
        self._max_length = max_length
        self._empty_think_loss = empty_think_loss
        self._skip_bad_rows = skip_bad_rows
        self._special = SpecialTokens(tokenizer)
        self.report = SampleReport()

    def encode(self, conversations: Sequence[Conversation]) -> list[Sample]:
        """Return the samples of some conversations, in order; `report` counts on. Raises BadData, UnsafeModel."""
        by_conversation = [list(_turns(conversation)) for conversation in conversations]
        rendered = iter(self._render([turn for turns in by_conversation for turn in turns]))
        samples: list[Sample] = []
        learned = 0
        for turns in by_conversation:
            found = self._join([one for one in [next(rendered) for _ in turns] if one])
            learned += bool(found)
            samples += found
        self._count(samples, conversations=learned)
        self._count_forged(conversations)
        return samples

    def _render(self, turns: Sequence[Turn]) -> list[Rendered | None]:
        """Render the prompt, the other prompt, and the whole, for each turn; None: the template cannot.

        Raises BadData for the first that it cannot write, unless bad rows are skipped.
        """
        return [one for part in _parts(turns) for one in self._render_at_once(part)]

    def _render_at_once(self, turns: Sequence[Turn]) -> list[Rendered | None]:
        try:
            texts = self._renderer.render([job for turn in turns for job in self._renderings(turn)])
        except UnsafeModel:
            raise
        except LoadError as error:
            if len(turns) > 1:  # one by one, to know which
                return [self._render([turn])[0] for turn in turns]
            parsed = with_parsed_arguments(turns[0])  # from Qwen3.5 on, templates want objects, as servers give them
            return self._render([parsed]) if parsed != turns[0] else [self._refuse(turns[0], error.message)]
        return [self._split(turn, *texts[3 * index : 3 * index + 3]) for index, turn in enumerate(turns)]

    def _renderings(self, turn: Turn) -> Iterable[Rendering]:
        """Return what has to be rendered for a turn, guarded if its text looks like the template's tokens."""
        before = [message.to_dict() for message in turn.before]
        answer, tools = turn.answer.to_dict(), json.loads(turn.tools) if turn.tools else None
        if self._special.are_in([before, answer, tools]):
            before, answer, tools = self._special.guard([before, answer, tools])
        given = {"tools": tools} if tools else {}
        thinking = self._thinks(turn)
        for thinks in (thinking, not thinking):
            yield Rendering(before, {**given, "add_generation_prompt": True, "enable_thinking": thinks})
        # from Qwen3.8 on, a prompt for thinking says at its very beginning how hard to think
        yield Rendering([*before, answer], {**given, "add_generation_prompt": False, "enable_thinking": thinking})

    def _thinks(self, turn: Turn) -> bool:
        """Return whether the answer is what the model is to say when it is asked to think."""
        return bool(turn.answer.reasoning) or self._empty_think_loss

    def _refuse(self, turn: Turn, problem: str) -> Rendered | None:
        """Count an answer that the template cannot write. Raises BadData unless bad rows are skipped."""
        if not self._skip_bad_rows:
            raise BadData(
                "{where}: {problem}",
                hint="Correct the row, or set skip_bad_rows: true to leave such rows out.",
                where=row_words(turn.where),
                problem=problem,
            )
        first = self.report.first_refused or Message("{where}: {problem}", where=row_words(turn.where), problem=problem)
        self.report = replace(self.report, refused=self.report.refused + 1, first_refused=first)
        return None

    def _split(self, turn: Turn, asked: str, otherwise: str, whole: str) -> Rendered | None:
        """Find the prompt the whole begins with; the rest is the answer, up to its end-of-turn token."""
        prompt = next((text for text in (asked, otherwise) if whole.startswith(text)), None)
        if prompt is None:
            return self._refuse(
                turn,
                Message(
                    "the model's chat template writes this answer in another place than its prompt ends: either it "
                    "is not made for training, or it writes such turns otherwise once others follow"
                ),
            )
        target = self._end(whole[len(prompt) :])
        if problem := find_unwritten(turn.before, turn.answer, turn.tools, texts=(prompt, target)):
            return self._refuse(turn, problem)
        empty = None if self._thinks(turn) else EMPTY_THINK.match(target)
        cut = empty.end() if empty else 0
        is_lost = bool(turn.answer.reasoning) and turn.answer.reasoning not in target.replace(GUARD, "")
        self.report = replace(self.report, without_reasoning=self.report.without_reasoning + is_lost)
        return Rendered(turn, prompt, target[:cut], target[cut:])

    def _end(self, text: str) -> str:
        """Cut the line break after the end-of-turn token; add the token if the template writes none."""
        stripped = text.rstrip()
        if any(stripped.endswith(token) for token in self._special.names):
            return stripped
        return text + str(self._tokenizer.eos_token or "")

    def _join(self, turns: Sequence[Rendered]) -> list[Sample]:
        """Put turns that continue each other into one sequence, as long as it fits."""
        samples: list[Sample] = []
        previous: Rendered | None = None
        for turn in turns:
            continues = previous is not None and turn.prompt.startswith(previous.text)
            if previous is not None and continues and samples:
                longer = self._sample(turn, after=previous.text)
                if len(samples[-1].input_ids) + len(longer.input_ids) <= self._max_length:
                    last = samples.pop()
                    samples.append(Sample(last.input_ids + longer.input_ids, last.labels + longer.labels))
                    previous = turn
                    continue
            whole = self._sample(turn)
            fits = len(whole.input_ids) <= self._max_length
            sample = whole if fits else self._fitted(turn.turn, whole)
            samples += [sample] if sample else []
            previous = (
                turn if fits else None
            )  # a shortened sample cannot be continued: it begins otherwise than the text
        return samples

    def _sample(self, turn: Rendered, *, after: str = "") -> Sample:
        """Tokenize the parts apart, as inference does: it never sees prompt and answer as one text."""
        parts = self._tokens([turn.prompt[len(after) :], turn.masked, turn.target])
        head = parts[0] + parts[1]
        return Sample.of(head + parts[2], [IGNORED] * len(head) + parts[2])

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        return self._special.tokenize(texts)

    def _fitted(self, turn: Turn, whole: Sample) -> Sample | None:
        """Return a turn that is too long without its oldest turns, or with a shorter question, else None."""
        if whole.trained_tokens + MIN_KEPT_TOKENS <= self._max_length:
            for sample in self._shorter(turn, len(whole.input_ids)):
                if len(sample.input_ids) <= self._max_length:
                    self.report = replace(self.report, shortened=self.report.shortened + 1)
                    return sample
        self.report = replace(self.report, dropped=self.report.dropped + 1)
        return None

    def _shorter(self, turn: Turn, length: int) -> Iterator[Sample]:
        """Yield samples of the turn with ever less before it. The answer and the system message stay whole."""
        while (before := without_oldest_exchange(turn.before)) != turn.before:
            turn = replace(turn, before=before)
            if sample := self._sample_of(turn):
                length = len(sample.input_ids)
                yield sample
        for _ in range(3):  # cutting text can cost or gain a token at the seams
            index = max(
                (index for index, one in enumerate(turn.before) if one.role != "system"),
                key=lambda index: len(turn.before[index].content),
            )
            content = self._cut_middle(turn.before[index].content, length - self._max_length)
            if content is None:
                return
            shorter = replace(turn.before[index], content=content)
            turn = replace(turn, before=(*turn.before[:index], shorter, *turn.before[index + 1 :]))
            if sample := self._sample_of(turn):
                length = len(sample.input_ids)
                yield sample

    def _sample_of(self, turn: Turn) -> Sample | None:
        """Return the sample of a shortened turn, None if the template cannot write it; the report stays as it is."""
        before, skips = self.report, self._skip_bad_rows
        self._skip_bad_rows = True
        try:
            rendered = self._render([turn])[0]
        finally:
            self.report, self._skip_bad_rows = before, skips
        return self._sample(rendered) if rendered else None

    def _cut_middle(self, text: str, excess: int) -> str | None:
        """Return the text without `excess` tokens in its middle (instructions stand first or last), or None."""
        ids = self._tokens([text])[0]
        keep = len(ids) - excess - len(self._tokens([CUT_MARK])[0]) - 2
        if keep < MIN_KEPT_TOKENS:
            return None
        head, tail = self._tokenizer.decode(ids[: (keep + 1) // 2]), self._tokenizer.decode(ids[len(ids) - keep // 2 :])
        return f"{head.rstrip(chr(0xFFFD))}{CUT_MARK}{tail.lstrip(chr(0xFFFD))}"  # half a character at the seam

    def _count_forged(self, conversations: Sequence[Conversation]) -> None:
        forged = [
            one
            for one in conversations
            if any(self._special.are_in((turn.content, turn.reasoning, turn.tool_calls)) for turn in one.messages)
        ]
        if forged:
            first = self.report.first_forged or row_words(forged[0].where)
            self.report = replace(self.report, forged=self.report.forged + len(forged), first_forged=first)

    def _count(self, samples: Sequence[Sample], *, conversations: int) -> None:
        lengths = [len(sample.input_ids) for sample in samples]
        trained = [sample.trained_tokens for sample in samples]
        ends = sum(
            here != IGNORED and following == IGNORED
            for sample in samples
            for here, following in zip(sample.labels, [*sample.labels[1:], IGNORED], strict=True)
        )
        self.report = replace(
            self.report,
            conversations=self.report.conversations + conversations,
            samples=self.report.samples + len(samples),
            answers=self.report.answers + ends,
            tokens=self.report.tokens + sum(lengths),
            trained_tokens=self.report.trained_tokens + sum(trained),
            longest=max([self.report.longest, *lengths]),
        )


def encode_all(
    conversations: Sequence[Conversation], encoder: Encoder, work: Work, *, may_be_none: bool = False
) -> list[Sample]:
    """Return the samples of all conversations, telling of the phase "preparing".

    Raises:
        BadData: The template cannot write a conversation, or nothing fits max_length, unless there `may_be_none`.
        Stopped: Someone wants the work to stop.
    """
    samples: list[Sample] = []
    for start in range(0, len(conversations), BATCH):
        if work.stop.is_set():
            raise Stopped("Stopped while preparing the data.")
        samples += encoder.encode(conversations[start : start + BATCH])
        done = min(start + BATCH, len(conversations))
        work.progress(Progress("preparing", done, len(conversations), "rows"))
    if conversations and not samples and not may_be_none:
        if encoder.report.refused:
            raise BadData(
                "The model's chat template cannot write any of the {count} answers; the first: {problem}",
                hint="Use a model whose template can.",
                count=encoder.report.refused,
                problem=encoder.report.first_refused,
            )
        raise BadData(
            "None of the {count} answers fits max_length.", hint="Raise max_length.", count=encoder.report.dropped
        )
    return samples


def with_parsed_arguments(turn: Turn) -> Turn:
    """Return the turn with the arguments of its tool calls as objects, where they are JSON text."""

    def parse(message: ChatMessage) -> ChatMessage:
        if not message.tool_calls:
            return message
        calls = json.loads(message.tool_calls)
        for call in calls:
            if isinstance(arguments := call["function"]["arguments"], str):
                call["function"]["arguments"] = json.loads(arguments)
        return replace(message, tool_calls=json.dumps(calls, ensure_ascii=False))

    return replace(turn, before=tuple(map(parse, turn.before)), answer=parse(turn.answer))


def _parts(turns: Sequence[Turn]) -> Iterator[list[Turn]]:
    """Yield the turns in parts that a template can be given at once: each turn comes with all before it."""
    part: list[Turn] = []
    room = PART_CHARACTERS
    for turn in turns:
        size = sum(len(one.content) for one in turn.before) + len(turn.answer.content)
        if part and size > room:
            yield part
            part, room = [], PART_CHARACTERS
        part.append(turn)
        room -= size
    if part:
        yield part


def without_oldest_exchange(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    """Return the turns without the first question and what answers it; unchanged if only one question is left."""
    system = messages[:1] if messages and messages[0].role == "system" else ()
    questions = [index for index, one in enumerate(messages) if one.role == "user"]
    return system + messages[questions[1] :] if len(questions) > 1 else messages


def end_of_turn_ids(tokenizer: Tokenizer, renderer: TemplateRenderer) -> list[int]:
    """Return the token with which the model's template ends an answer, in a list; empty if it writes none."""
    conversation = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    text = renderer.render([Rendering(conversation)])[0].rstrip()
    token = next((token for token in special_tokens(tokenizer) if text.endswith(token)), None)
    return [] if token is None else [int(tokenizer.convert_tokens_to_ids(token))]


def _turns(conversation: Conversation) -> Iterator[Turn]:
    for index, message in enumerate(conversation.messages):
        if message.role == "assistant" and message.is_learned:
            yield Turn(conversation.messages[:index], message, conversation.tools, conversation.where)
