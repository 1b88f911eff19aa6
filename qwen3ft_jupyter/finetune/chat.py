"""Asks a loaded model a question: the whole answer, or piece by piece as it is written."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.finetune.rendering import end_of_turn_ids
from qwen3ft_jupyter.loading.machine import fitting_threads
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Self

THINKING_TEMPERATURE, THINKING_TOP_P, TOP_K = 0.6, 0.95, 20
"""What Qwen recommends for thinking; without sampling, a thinking Qwen3 repeats itself for ever."""

TOP_P = 0.8
"""What Qwen recommends for sampling without thinking."""

WAIT_S = 0.2
"""How often a waiting reader can be interrupted."""


def answer(
    model: Any,
    tokenizer: Any,
    question: str | Sequence[Mapping[str, Any]],
    *,
    max_new_tokens: int = 512,
    thinking: bool = False,
    keep_thinking: bool = False,
    temperature: float | None = None,
    on_text: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> str:
    """Return the model's answer.

    Args:
        model: A transformers or peft model, as `load_model_and_tokenizer` returns it.
        tokenizer: Its tokenizer.
        question: A text, or messages with `role` and `content` of which the last is the user's.
        max_new_tokens: The longest answer.
        thinking: Let a hybrid model reason first.
        keep_thinking: Return the reasoning too, in its tags.
        temperature: 0 takes the likeliest token each time: the same question, the same answer. None: 0 without
            thinking, Qwen's recommendation with it.
        on_text: Receives each piece as it is written, reasoning included.
        stop: When set, the answer ends where it is.

    Raises:
        BadInput: The question is empty or no list of messages.
        LoadError: The model has no chat template, or the template refuses the messages.
    """
    pieces = stream(
        model, tokenizer, question, max_new_tokens=max_new_tokens, thinking=thinking, temperature=temperature, stop=stop
    )
    with pieces:
        for piece in pieces:
            if on_text is not None:
                on_text(piece)
    return pieces.text if keep_thinking else without_thinking(pieces.text)


def stream(
    model: Any,
    tokenizer: Any,
    question: str | Sequence[Mapping[str, Any]],
    *,
    max_new_tokens: int = 512,
    thinking: bool = False,
    temperature: float | None = None,
    stop: threading.Event | None = None,
) -> Stream:
    """Return an iterator over the pieces of the answer; arguments as in `answer`. Leaving it early ends the writing."""
    messages = _messages(question)
    with TemplateRenderer.of(tokenizer) as renderer:
        variables = {"add_generation_prompt": True, "enable_thinking": thinking}
        prompt = renderer.render([Rendering(messages, variables)])[0]
        end_ids = end_of_turn_ids(tokenizer, renderer)
    if temperature is None:
        temperature = THINKING_TEMPERATURE if thinking else 0.0
    settings = _generation(model, tokenizer, end_ids, temperature, thinking=thinking, max_new_tokens=max_new_tokens)
    return Stream(model, tokenizer, prompt, settings, stop or threading.Event())


def without_thinking(text: str) -> str:
    r"""Return the answer after the reasoning; an answer cut off while reasoning is returned as it is.

    >>> without_thinking("<think>\nhm\n</think>\n\nYes.")
    'Yes.'
    """
    head, tag, rest = text.rpartition("</think>")
    return (rest if tag and head is not None else text).strip()


class Stream:
    """Pieces of an answer while a thread writes it; a context manager that ends the thread."""

    def __init__(self, model: Any, tokenizer: Any, prompt: str, settings: Any, stop: threading.Event) -> None:
        """Start writing."""
        from transformers import TextIteratorStreamer

        self._tokenizer = tokenizer
        self._streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._error: BaseException | None = None
        self._stop, self._closed = stop, threading.Event()
        self.text = ""
        """What has been read so far."""
        self._thread = threading.Thread(target=self._write, args=(model, prompt, settings), daemon=True, name="answer")
        self._thread.start()

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

    def close(self) -> None:
        """End the writing after the token at hand."""
        self._closed.set()
        self._thread.join()

    def _next(self) -> str | None:
        while True:
            with contextlib.suppress(queue.Empty):  # a wait without a limit could not be interrupted on Windows
                piece = self._streamer.text_queue.get(timeout=WAIT_S)
                if piece is None and self._error is not None:
                    raise self._error
                return None if piece is None else str(piece)

    def _write(self, model: Any, prompt: str, settings: Any) -> None:
        import torch

        try:
            inputs = self._tokenizer([prompt], add_special_tokens=False, return_tensors="pt").to(model.device)
            with torch.inference_mode(), fitting_threads(model):
                model.generate(
                    **inputs,
                    generation_config=settings,
                    streamer=self._streamer,
                    stopping_criteria=[self._should_stop],
                )
        except BaseException as error:  # noqa: BLE001 - border of a thread: the reader raises it
            self._error = error
        finally:
            self._streamer.text_queue.put(None)  # a second one, if all went well, is never read

    def _should_stop(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        import torch

        is_over = self._stop.is_set() or self._closed.is_set()
        return torch.full((input_ids.shape[0],), is_over, dtype=torch.bool, device=input_ids.device)


def _messages(question: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else [dict(one) for one in question]
    has_text = all(isinstance(one.get("role"), str) and isinstance(one.get("content"), str) for one in messages)
    if not messages or not has_text or not messages[-1]["content"].strip():
        raise BadInput(
            "There is no question.", hint='Give a text, or messages such as {"role": "user", "content": "…"}.'
        )
    return messages


def _generation(
    model: Any, tokenizer: Any, end_ids: list[int], temperature: float, *, thinking: bool, max_new_tokens: int
) -> Any:
    """Return the settings of one answer: ours alone, so that a model's stored ones cannot contradict them."""
    from transformers import GenerationConfig

    present = model.generation_config.eos_token_id
    eos = [*end_ids, *([present] if isinstance(present, int) else present or []), tokenizer.eos_token_id]
    unique = list(dict.fromkeys(one for one in eos if one is not None))
    # what is not set would be taken from the model's own settings; these are the values that mean nothing
    sampling: dict[str, Any] = {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
    if temperature > 0:
        top_p = THINKING_TOP_P if thinking else TOP_P
        sampling = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": TOP_K}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else next(iter(unique), None)
    return GenerationConfig(
        max_new_tokens=max_new_tokens, eos_token_id=unique, pad_token_id=pad, use_cache=True, **sampling
    )
