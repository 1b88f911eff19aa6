"""Asks a loaded model a question: the whole answer, or piece by piece as it is written."""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.finetune.rendering import end_of_turn_ids
from qwen3ft_jupyter.loading.machine import fitting_threads
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor
    from transformers import GenerationConfig
    from typing_extensions import Self

    from qwen3ft_jupyter.loading.libraries import LoadedPair, Model

THINKING_TEMPERATURE, THINKING_TOP_P, TOP_K = 0.6, 0.95, 20
"""What Qwen recommends for thinking; without sampling, a thinking Qwen3 repeats itself for ever."""

TOP_P = 0.8
"""What Qwen recommends for sampling without thinking."""

MAX_SEED = 2**32
"""What every generator of chance takes."""

WAIT_S = 0.2
"""How often a waiting reader can be interrupted."""


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How a question is answered.

    Raises:
        BadInput: an option has a value that no answer can have.
    """

    max_new_tokens: int = 512
    """The longest answer."""
    thinking: bool = False
    """Let a hybrid model reason first."""
    keep_thinking: bool = False
    """Return the reasoning too, in its tags."""
    temperature: float | None = None
    """0 takes the likeliest token each time: the same question, the same answer. None: 0 without thinking, Qwen's
    recommendation with it."""
    top_p: float | None = None
    """Only the likeliest tokens that together have this probability are drawn from; None: Qwen's recommendation."""
    top_k: int | None = None
    """Only so many of the likeliest tokens are drawn from, 0 for all; None: Qwen's recommendation."""
    seed: int | None = None
    """The same seed draws the same answer on the same machine; None draws another one each time."""
    use_adapter: bool = True
    """False answers as the base model does: what a fine-tune has learned is left out."""
    on_text: Callable[[str], None] | None = None
    """Receives each piece as it is written, reasoning included."""
    stop: threading.Event | None = None
    """When set, the answer ends where it is."""

    def __post_init__(self) -> None:
        if not isinstance(self.max_new_tokens, int) or self.max_new_tokens < 1:
            raise BadInput("max_new_tokens: {value} is no whole number from 1 on.", value=self.max_new_tokens)
        if self.temperature is not None and not self.temperature >= 0:
            raise BadInput("temperature: {value} is no number from 0 on.", value=self.temperature)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise BadInput("top_p: {value} is no number above 0 and up to 1.", value=self.top_p)
        if self.top_k is not None and (not isinstance(self.top_k, int) or self.top_k < 0):
            raise BadInput("top_k: {value} is no whole number from 0 on.", value=self.top_k)
        if self.seed is not None and (not isinstance(self.seed, int) or not 0 <= self.seed < MAX_SEED):
            raise BadInput("seed: {value} is no whole number from 0 to {last}.", value=self.seed, last=MAX_SEED - 1)


def answer(
    loaded: LoadedPair, question: str | Sequence[Mapping[str, str]], options: AnswerOptions | None = None
) -> str:
    """Return the model's answer.

    Args:
        loaded: What `load_model_and_tokenizer` returns.
        question: A text, or messages with `role` and `content` of which the last is the user's.
        options: How.

    Raises:
        BadInput: The question is empty or no list of messages.
        LoadError: The model has no chat template, or the template refuses the messages.
    """
    options = options or AnswerOptions()
    with stream(loaded, question, options) as pieces:
        for piece in pieces:
            if options.on_text is not None:
                options.on_text(piece)
    return pieces.text if options.keep_thinking else without_thinking(pieces.text)


def stream(loaded: LoadedPair, question: str | Sequence[Mapping[str, str]], options: AnswerOptions) -> Stream:
    """Return an iterator over the pieces of the answer; arguments as in `answer`. Leaving it early ends the writing."""
    messages = as_messages(question)
    if not options.use_adapter and not has_adapter(loaded):
        raise BadInput("use_adapter: this model has no adapter that could be left out.")
    with TemplateRenderer.of(loaded.tokenizer) as renderer:
        variables = {"add_generation_prompt": True, "enable_thinking": options.thinking}
        prompt = renderer.render([Rendering(messages, variables)])[0]
        end_ids = end_of_turn_ids(loaded.tokenizer, renderer)
    return Stream(loaded, prompt, generation_settings(loaded, end_ids, options), options)


def has_adapter(loaded: LoadedPair) -> bool:
    """Return whether there is an adapter on the model that an answer can leave out."""
    return hasattr(loaded.model, "disable_adapter")  # peft's alone: a transformers model has `disable_adapters`


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; a temperature of 0 draws none."""

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int


def own_sampling(model: Model) -> Sampling:
    """Return what the model's own generation_config says; where it says nothing, what means nothing."""
    own = model.generation_config
    temperature = float(own.temperature or 1.0) if own.do_sample else 0.0
    top_p = float(own.top_p or 1.0)
    return Sampling(temperature, top_p, int(own.top_k or 0), int(own.max_new_tokens or AnswerOptions().max_new_tokens))


def without_thinking(text: str) -> str:
    r"""Return the answer after the reasoning; an answer cut off while reasoning is returned as it is.

    >>> without_thinking("<think>\nhm\n</think>\n\nYes.")
    'Yes.'
    """
    head, tag, rest = text.rpartition("</think>")
    return (rest if tag and head is not None else text).strip()


class Stream:
    """Pieces of an answer while a thread writes it; a context manager that ends the thread."""

    def __init__(self, loaded: LoadedPair, prompt: str, settings: GenerationConfig, options: AnswerOptions) -> None:
        """Start writing."""
        from transformers import TextIteratorStreamer

        model, self._tokenizer = loaded
        self._settings, self._options = settings, options
        self.prompt = prompt
        """What the model was given to go on with."""
        self.tokens = 0
        """How many have been written so far."""
        self._streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._error: BaseException | None = None
        self._is_complete = False
        self._stop, self._closed = options.stop or threading.Event(), threading.Event()
        self.text = ""
        """What has been read so far."""
        self._thread = threading.Thread(target=self._write, args=(model,), daemon=True, name="answer")
        if not start_thread(self._thread):
            self._write(model)  # then the pieces come all at once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[str]:
        try:
            while (piece := self._next()) is not None:
                self.text += piece
                if piece:  # none as long as a word may go on
                    yield piece
        finally:
            self.close()

    @property
    def end(self) -> str:
        """How the writing ended: "complete", "length" at the longest that was allowed, "stopped"."""
        if self._is_complete:
            return "complete"
        return "length" if self.tokens >= self._settings.max_new_tokens else "stopped"

    def close(self) -> None:
        """End the writing after the token at hand."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _next(self) -> str | None:
        while True:
            with contextlib.suppress(queue.Empty):  # a wait without a limit could not be interrupted on Windows
                piece = self._streamer.text_queue.get(timeout=WAIT_S)
                if piece is None and self._error is not None:
                    raise self._error
                return None if piece is None else str(piece)

    def _write(self, model: Model) -> None:
        import torch

        try:
            inputs = self._tokenizer([self.prompt], add_special_tokens=False, return_tensors="pt").to(model.device)
            with torch.inference_mode(), fitting_threads(model), self._adapter(model), _chance(self._options.seed):
                model.generate(
                    **inputs,
                    generation_config=self._settings,
                    streamer=self._streamer,
                    stopping_criteria=[self._should_stop],
                )
        except BaseException as error:  # noqa: BLE001 - border of a thread: the reader raises it
            self._error = error
        finally:
            self._streamer.text_queue.put(None)  # a second one, if all went well, is never read

    def _adapter(self, model: Model) -> contextlib.AbstractContextManager[None]:
        without: contextlib.AbstractContextManager[None] = (
            contextlib.nullcontext() if self._options.use_adapter else model.disable_adapter()
        )
        return without

    def _should_stop(self, input_ids: Tensor, _scores: object, **_: object) -> Tensor:
        """Take note of a token, and say whether it was the last."""
        import torch

        self.tokens += 1
        self._is_complete = int(input_ids[0, -1]) in self._settings.eos_token_id
        is_over = self._stop.is_set() or self._closed.is_set()
        return torch.full((input_ids.shape[0],), is_over, dtype=torch.bool, device=input_ids.device)


@contextlib.contextmanager
def _chance(seed: int | None) -> Iterator[None]:
    """Draw from a seed, and leave the generators of the process as they were."""
    if seed is None:
        yield
        return
    import torch

    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield


def as_messages(question: str | Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return a question as messages, of which the last is the user's. Raises BadInput if it is neither."""
    messages: list[dict[str, str]] = []
    if isinstance(question, str):
        messages = [{"role": "user", "content": question}]
    else:
        with contextlib.suppress(TypeError, ValueError):  # it is no list of mappings
            messages = [dict(one) for one in question]
    has_text = all(isinstance(one.get("role"), str) and isinstance(one.get("content"), str) for one in messages)
    if not messages or not has_text or not messages[-1]["content"].strip():
        raise BadInput(
            "There is no question.", hint='Give a text, or messages such as {"role": "user", "content": "…"}.'
        )
    return messages


def generation_settings(loaded: LoadedPair, end_ids: list[int], options: AnswerOptions) -> GenerationConfig:
    """Return the settings of one answer: ours alone, so that a model's stored ones cannot contradict them."""
    from transformers import GenerationConfig

    model, tokenizer = loaded
    present = model.generation_config.eos_token_id
    eos = [*end_ids, *([present] if isinstance(present, int) else present or []), tokenizer.eos_token_id]
    unique = list(dict.fromkeys(one for one in eos if one is not None))
    # what is not set would be taken from the model's own settings; these are the values that mean nothing
    sampling = {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
    usual = THINKING_TEMPERATURE if options.thinking else 0.0
    temperature = usual if options.temperature is None else options.temperature
    if temperature > 0:
        top_p = THINKING_TOP_P if options.thinking else TOP_P
        sampling = {
            "do_sample": True,
            "temperature": float(temperature),  # transformers refuses whole numbers
            "top_p": float(top_p if options.top_p is None else options.top_p),
            "top_k": TOP_K if options.top_k is None else options.top_k,
        }
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else next(iter(unique), None)
    return GenerationConfig(
        max_new_tokens=options.max_new_tokens, eos_token_id=unique, pad_token_id=pad, use_cache=True, **sampling
    )
