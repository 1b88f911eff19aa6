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

from qwen3ft_jupyter.errors import BadData, LoadError, UnsafeModel
from qwen3ft_jupyter.finetune.examples import ExampleEncoder
from qwen3ft_jupyter.finetune.rows import row_words
from qwen3ft_jupyter.finetune.samples import IGNORED, Sample
from qwen3ft_jupyter.finetune.special import GUARD, special_tokens
from qwen3ft_jupyter.finetune.written import find_unwritten
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Self

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.formats import Conversation
    from qwen3ft_jupyter.finetune.turns import ChatMessage
    from qwen3ft_jupyter.loading.libraries import Tokenizer

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
    is_thinking: bool = False
    """Whether it follows a prompt that asks for a thought, though it may have none."""


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


class TurnEncoder(ExampleEncoder):
    """Renders and tokenizes turns for one model."""

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
        super().__init__(tokenizer, max_length=max_length)
        self._renderer = renderer
        self._empty_think_loss = empty_think_loss
        self._skip_bad_rows = skip_bad_rows

    @classmethod
    def of(cls, config: FineTuneConfig, tokenizer: Tokenizer, renderer: TemplateRenderer) -> Self:
        """Return the encoder of a config."""
        encoder = cls(
            tokenizer,
            renderer,
            max_length=config.max_length,
            empty_think_loss=config.empty_think_loss,
            skip_bad_rows=config.skip_bad_rows,
        )
        encoder.untaught = untaught_tokens(tokenizer, renderer)
        return encoder

    def render(self, turns: Sequence[Turn]) -> list[Rendered | None]:
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
                return [self.render([turn])[0] for turn in turns]
            parsed = with_parsed_arguments(turns[0])  # from Qwen3.5 on, templates want objects, as servers give them
            return self.render([parsed]) if parsed != turns[0] else [self._refuse(turns[0], error.message)]
        return [self._split(turn, *texts[3 * index : 3 * index + 3]) for index, turn in enumerate(turns)]

    def _renderings(self, turn: Turn) -> Iterable[Rendering]:
        """Return what has to be rendered for a turn, guarded if its text looks like the template's tokens."""
        before = [message.to_dict() for message in turn.before]
        answer, tools = turn.answer.to_dict(), json.loads(turn.tools) if turn.tools else None
        if self.special.are_in([before, answer, tools]):
            before, answer, tools = self.special.guard([before, answer, tools])
        given = {"tools": tools} if tools else {}
        thinking = turn.is_thinking or self._thinks(turn)
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
        self.report.enter("refused", turn.where)
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
        if any(stripped.endswith(token) for token in self.special.names):
            return stripped
        return text + str(self.tokenizer.eos_token or "")

    def sample(self, turn: Rendered, *, after: str = "") -> Sample:
        """Return a turn's sample, its parts tokenized apart, as inference does: it never sees them as one text."""
        parts = self.tokens([turn.prompt[len(after) :], turn.masked, turn.target])
        head = parts[0] + parts[1]
        return Sample.of(head + parts[2], [IGNORED] * len(head) + parts[2])

    def shorter(self, turn: Turn, length: int) -> Iterator[tuple[Turn, Sample]]:
        """Yield the turn with ever less before it, and its sample. The answer and the system message stay whole."""
        while (before := without_oldest_exchange(turn.before)) != turn.before:
            turn = replace(turn, before=before)
            if sample := self.sample_of(turn):
                length = len(sample.input_ids)
                yield turn, sample
        for _ in range(3):  # cutting text can cost or gain a token at the seams
            index = max(
                (index for index, one in enumerate(turn.before) if one.role != "system"),
                key=lambda index: len(turn.before[index].content),
            )
            content = self._cut_middle(turn.before[index].content, length - self.max_length)
            if content is None:
                return
            shorter = replace(turn.before[index], content=content)
            turn = replace(turn, before=(*turn.before[:index], shorter, *turn.before[index + 1 :]))
            if sample := self.sample_of(turn):
                length = len(sample.input_ids)
                yield turn, sample

    def sample_of(self, turn: Turn) -> Sample | None:
        """Return the sample of a shortened turn, None if the template cannot write it; the report stays as it is."""
        before, skips = self.report, self._skip_bad_rows
        self._skip_bad_rows = True
        try:
            rendered = self.render([turn])[0]
        finally:
            self.report, self._skip_bad_rows = before, skips
        return self.sample(rendered) if rendered else None

    def _cut_middle(self, text: str, excess: int) -> str | None:
        """Return the text without `excess` tokens in its middle (instructions stand first or last), or None."""
        ids = self.tokens([text])[0]
        keep = len(ids) - excess - len(self.tokens([CUT_MARK])[0]) - 2
        if keep < MIN_KEPT_TOKENS:
            return None
        head, tail = self.tokenizer.decode(ids[: (keep + 1) // 2]), self.tokenizer.decode(ids[len(ids) - keep // 2 :])
        return f"{head.rstrip(chr(0xFFFD))}{CUT_MARK}{tail.lstrip(chr(0xFFFD))}"  # half a character at the seam


class Encoder(TurnEncoder):
    """Makes samples of conversations: each answer that is learned, behind its prompt."""

    def encode(self, conversations: Sequence[Conversation]) -> list[Sample]:
        """Return the samples of some conversations, in order; `report` counts on. Raises BadData, UnsafeModel."""
        by_conversation = [list(_turns(conversation)) for conversation in conversations]
        rendered = iter(self.render([turn for turns in by_conversation for turn in turns]))
        samples: list[Sample] = []
        learned = 0
        for turns in by_conversation:
            found = self._join([one for one in [next(rendered) for _ in turns] if one])
            learned += bool(found)
            samples += found
        self.count(samples, conversations=learned)
        self.count_forged(conversations)
        return samples

    def _join(self, turns: Sequence[Rendered]) -> list[Sample]:
        """Put turns that continue each other into one sequence, as long as it fits."""
        samples: list[Sample] = []
        previous: Rendered | None = None
        for turn in turns:
            continues = previous is not None and turn.prompt.startswith(previous.text)
            if previous is not None and continues and samples:
                longer = self.sample(turn, after=previous.text)
                if len(samples[-1].input_ids) + len(longer.input_ids) <= self.max_length:
                    last = samples.pop()
                    samples.append(Sample(last.input_ids + longer.input_ids, last.labels + longer.labels))
                    previous = turn
                    continue
            whole = self.sample(turn)
            fits = len(whole.input_ids) <= self.max_length
            sample = whole if fits else self._fitted(turn.turn, whole)
            samples += [sample] if sample else []
            previous = (
                turn if fits else None
            )  # a shortened sample cannot be continued: it begins otherwise than the text
        return samples

    def _fitted(self, turn: Turn, whole: Sample) -> Sample | None:
        """Return a turn that is too long without its oldest turns, or with a shorter question, else None."""
        if whole.trained_tokens + MIN_KEPT_TOKENS <= self.max_length:
            for _, sample in self.shorter(turn, len(whole.input_ids)):
                if len(sample.input_ids) <= self.max_length:
                    self.report = replace(self.report, shortened=self.report.shortened + 1)
                    return sample
        self.report.enter("dropped", turn.where)
        self.report = replace(self.report, dropped=self.report.dropped + 1)
        return None


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


def untaught_tokens(tokenizer: Tokenizer, renderer: TemplateRenderer) -> dict[int, str]:
    """Return the tokens of structure of a base model but the one that ends its texts, by id; of others none.

    Qwen3's base models come with the chat template, but were trained on texts that <|endoftext|> ends: the rows of
    <|im_end|> in their embedding and head are what they were made with. A model that stops where its template ends an
    answer has learned what the template writes.
    """
    ends, eos = end_of_turn_ids(tokenizer, renderer), tokenizer.eos_token_id
    if not ends or eos is None or eos in ends:
        return {}
    return {int(token): str(one) for token, one in tokenizer.added_tokens_decoder.items() if token != eos}


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
