"""Holds what is learned against every chat template of the family, as the `trl` package keeps them for its own use."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune.formats import Conversation
from qwen3ft_jupyter.finetune.rendering import Encoder
from qwen3ft_jupyter.finetune.samples import IGNORED, Sample
from qwen3ft_jupyter.finetune.turns import ChatMessage
from qwen3ft_jupyter.loading.load import load_tokenizer
from qwen3ft_jupyter.loading.templates import TemplateRenderer
from qwen3ft_jupyter.practice.model import MODEL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.train

FAMILY = ("qwen3", "qwen3_instruct_2507", "qwen3_5_think", "qwen3_5_nothink", "qwen3_6", "qwen3_8")
PROMPT_OPENS_THINK = FAMILY[2:]
"""Their prompts begin the think block; on hybrid Qwen3 the model itself does."""
EMPTY_THINK = "<think>\n\n</think>\n\n"

U, A = "user", "assistant"
CALL = '[{"type": "function", "function": {"name": "look", "arguments": {"city": "Paris"}}}]'
TOOLS = (
    '[{"type": "function", "function": {"name": "look", "description": "one two", '
    '"parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]'
)
ASKED = ChatMessage(U, "What is the capital of France?")
TALKS = {
    "one answer": Conversation((ASKED, ChatMessage(A, "Paris.")), "row 1"),
    "a system message": Conversation((ChatMessage("system", "one two"), ASKED, ChatMessage(A, "Paris.")), "row 1"),
    "reasoning": Conversation((ASKED, ChatMessage(A, "Paris.", reasoning="let me see")), "row 1"),
    "two answers": Conversation((ASKED, ChatMessage(A, "yes"), ChatMessage(U, "Hello"), ChatMessage(A, "no")), "row 1"),
    "two answers with reasoning": Conversation(
        (
            ASKED,
            ChatMessage(A, "yes", reasoning="three"),
            ChatMessage(U, "Hello"),
            ChatMessage(A, "no", reasoning="four"),
        ),
        "row 1",
    ),
    "a tool": Conversation(
        (ASKED, ChatMessage(A, "", tool_calls=CALL), ChatMessage("tool", "seven"), ChatMessage(A, "seven")),
        "row 1",
        tools=TOOLS,
    ),
}


def template(name: str) -> str:
    return resources.files("trl").joinpath("chat_templates").joinpath(f"{name}.jinja").read_text("utf-8")


class Family:
    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.renderers: dict[str, TemplateRenderer] = {}

    def samples(self, name: str, talk: Conversation) -> list[Sample]:
        self.tokenizer.chat_template = template(name)
        if name not in self.renderers:
            self.renderers[name] = TemplateRenderer.of(self.tokenizer)
        return Encoder(self.tokenizer, self.renderers[name], max_length=4096).encode([talk])

    def prompt(self, name: str, talk: Conversation, index: int, **options: Any) -> list[int]:
        """Tokenize what `apply_chat_template` asks with before the turn at `index`."""
        turns = [message.to_dict() for message in talk.messages[:index]]
        text = self.tokenizer.apply_chat_template(
            turns,
            chat_template=template(name),
            tools=_parsed(talk.tools) or None,
            add_generation_prompt=True,
            tokenize=False,
            **options,
        )
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def learned_by_trl(self, name: str, talk: Conversation) -> str:
        """Return the text that TRL's training variant of the template puts into the loss."""
        found = self.tokenizer.apply_chat_template(
            [message.to_dict() for message in talk.messages],
            chat_template=template(f"{name}_training"),
            tools=_parsed(talk.tools) or None,
            return_assistant_tokens_mask=True,
            return_dict=True,
        )
        pairs = zip(found["input_ids"], found["assistant_masks"], strict=True)
        return str(self.tokenizer.decode([token for token, is_learned in pairs if is_learned]))

    def text(self, labels: Iterable[int]) -> str:
        return str(self.tokenizer.decode([token for token in labels if token != IGNORED]))


def _parsed(tools: str) -> Any:
    return json.loads(tools) if tools else None


@pytest.fixture(scope="module")
def family() -> Iterator[Family]:
    family = Family(load_tokenizer(MODEL_FOLDER))  # it cuts text as Qwen3's tokenizer does
    yield family
    for renderer in family.renderers.values():
        renderer.close()


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
@pytest.mark.parametrize("name", FAMILY)
def test_every_answer_is_learned_behind_the_prompt_of_inference(family: Family, name: str, talk: Conversation) -> None:
    samples = family.samples(name, talk)

    for index, message in enumerate(talk.messages):
        if message.role == A:
            prompt = family.prompt(name, talk, index, enable_thinking=bool(message.reasoning))
            behind = [one for one in samples if list(one.input_ids[: len(prompt)]) == prompt]
            says = message.content or "<tool_call>"
            assert says in family.text(behind[0].labels[len(prompt) :])


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
@pytest.mark.parametrize("name", FAMILY)
def test_what_is_learned_is_what_trl_learns_but_for_what_nobody_writes_at_inference(
    family: Family, name: str, talk: Conversation
) -> None:
    """TRL learns the beginning of a think block that the prompt gives, empty ones, and the line break after the end."""
    given = "<think>\n" if name in PROMPT_OPENS_THINK else ""
    turns = family.learned_by_trl(name, talk).split("<|im_end|>\n")[:-1]
    theirs = [turn.removeprefix(EMPTY_THINK).removeprefix(given) for turn in turns]

    learned = "".join(family.text(sample.labels) for sample in family.samples(name, talk))

    assert learned.split("<|im_end|>")[:-1] == theirs
