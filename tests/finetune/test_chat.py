from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadInput, LoadError
from qwen3ft_jupyter.finetune.chat import AnswerOptions, Sampling, answer, own_sampling, stream
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from tests.faults.scarcity import limit_threads
from tests.finetune.adapters import make_adapter
from tests.loading.tiny_qwen3 import make_model

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.loading.libraries import LoadedPair

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def loaded(tiny: Path) -> LoadedPair:
    return load_model_and_tokenizer(tiny, LoadOptions(device="cpu"))


@pytest.fixture
def scripted(loaded: LoadedPair, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the model say a text, token by token, and then go on with anything."""
    import torch

    model, tokenizer = loaded

    def say(text: str) -> list[str]:
        script = tokenizer(text, add_special_tokens=False)["input_ids"]
        prompts: list[str] = []
        forward = model.forward

        def play(**inputs: Any) -> Any:
            output = forward(**inputs)
            if inputs["input_ids"].shape[1] > 1:
                prompts.append(tokenizer.decode(inputs["input_ids"][0]))
                position.clear()
            output.logits[:, -1] = (
                torch.nn.functional.one_hot(
                    torch.tensor(script[len(position)] if len(position) < len(script) else 5), output.logits.shape[-1]
                ).float()
                * 100
            )
            position.append(1)
            return output

        position: list[int] = []
        monkeypatch.setattr(model, "forward", play)
        return prompts

    return say


def test_the_answer_ends_at_the_end_of_turn_and_is_the_same_each_time(loaded: LoadedPair, scripted: Any) -> None:
    prompts = scripted("你好, yes!<|im_end|>never said")

    assert answer(loaded, "Hello") == "你好, yes!"
    assert answer(loaded, "Hello") == "你好, yes!"
    assert prompts[0] == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def test_pieces_add_up_and_no_character_is_halved(loaded: LoadedPair, scripted: Any) -> None:
    scripted("🙂 one two 猫<|im_end|>")
    heard: list[str] = []

    text = answer(loaded, "Hello", AnswerOptions(on_text=heard.append))

    assert "".join(heard) == text == "🙂 one two 猫"
    assert len(heard) > 3
    assert not any("\ufffd" in piece for piece in heard)


def test_reasoning_is_asked_for_and_taken_out_of_the_answer(loaded: LoadedPair, scripted: Any) -> None:
    prompts = scripted("<think>\nlet me see\n</think>\n\nyes<|im_end|>")

    assert answer(loaded, "Hello", AnswerOptions(thinking=True, temperature=0)) == "yes"
    assert answer(loaded, "Hello", AnswerOptions(thinking=True, temperature=0, keep_thinking=True)).startswith(
        "<think>\nlet me see"
    )
    assert prompts[0].endswith("<|im_start|>assistant\n")


def test_messages_are_a_talk_that_goes_on(loaded: LoadedPair, scripted: Any) -> None:
    prompts = scripted("ok<|im_end|>")
    talk = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "r"},
    ]

    answer(loaded, talk)

    assert prompts[0].startswith(
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na"
    )


def test_the_longest_answer_is_kept_to(loaded: LoadedPair, scripted: Any) -> None:
    scripted("one two three four five six seven")

    assert len(loaded[1](answer(loaded, "Hello", AnswerOptions(max_new_tokens=3)))["input_ids"]) <= 3


def test_stop_ends_an_answer_where_it_is(loaded: LoadedPair, scripted: Any) -> None:
    scripted("one " * 400)
    stop = threading.Event()

    text = answer(loaded, "Hello", AnswerOptions(stop=stop, on_text=lambda _piece: stop.set()))

    assert len(text.split()) < 400


def test_leaving_the_stream_ends_the_writing(loaded: LoadedPair, scripted: Any) -> None:
    scripted("one " * 400)
    before = threading.active_count()

    with stream(loaded, "Hello", AnswerOptions(max_new_tokens=400)) as pieces:
        assert next(iter(pieces))

    assert threading.active_count() <= before


def test_an_error_while_writing_reaches_the_reader(loaded: LoadedPair, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_inputs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(loaded[0], "forward", fail)

    with pytest.raises(ZeroDivisionError):
        answer(loaded, "Hello")


def test_a_warm_answer_is_sampled_without_complaints(loaded: LoadedPair, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        answer(loaded, "Hello", AnswerOptions(max_new_tokens=4, temperature=0.7))
        answer(loaded, "Hello", AnswerOptions(max_new_tokens=4))

    assert caplog.records == []


@pytest.mark.parametrize(
    "question", ["", " ", [], [{"role": "user"}], [{"role": "user", "content": ""}], None, 5, [5], {"role": "user"}]
)
def test_no_question_is_refused(loaded: LoadedPair, question: Any) -> None:
    with pytest.raises(BadInput, match="no question"):
        answer(loaded, question)


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 0},
        {"max_new_tokens": 1.5},
        {"temperature": -1.0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"top_k": 1.5},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_an_option_that_no_answer_can_have_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(options))):
        AnswerOptions(**options)


def test_whole_numbers_are_numbers(loaded: LoadedPair) -> None:
    assert answer(loaded, "Hello", AnswerOptions(max_new_tokens=4, temperature=5, top_p=1, seed=1))


def test_a_seed_draws_the_same_answer_and_leaves_the_chance_of_others_alone(loaded: LoadedPair) -> None:
    import torch

    options: dict[str, Any] = {"max_new_tokens": 12, "temperature": 5.0, "top_p": 1.0, "top_k": 0}
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, again, other = (answer(loaded, "Hello", AnswerOptions(seed=seed, **options)) for seed in (1, 1, 2))

    assert first == again != other
    assert torch.rand(1) == expected


def test_how_it_ended_and_how_much_was_written_is_known(loaded: LoadedPair, scripted: Any) -> None:
    scripted("Hello 你好<|im_end|>")
    ends = []
    for longest in (100, 2):
        with stream(loaded, "Hi", AnswerOptions(max_new_tokens=longest)) as pieces:
            list(pieces)
        ends.append((pieces.end, pieces.tokens))

    assert ends[0][0] == "complete"
    assert ends[1] == ("length", 2)


def test_without_its_adapter_a_fine_tune_answers_as_its_base(tiny: Path, tmp_path: Path) -> None:
    base = load_model_and_tokenizer(tiny, LoadOptions(device="cpu"))
    tuned = load_model_and_tokenizer(tiny, LoadOptions(device="cpu", adapter=make_adapter(tiny, tmp_path / "adapter")))

    plain = answer(base, "Hello", AnswerOptions(max_new_tokens=8))
    assert answer(tuned, "Hello", AnswerOptions(max_new_tokens=8)) != plain
    assert answer(tuned, "Hello", AnswerOptions(max_new_tokens=8, use_adapter=False)) == plain
    with pytest.raises(BadInput, match="no adapter"):
        answer(base, "Hello", AnswerOptions(use_adapter=False))


def test_a_model_s_own_settings_are_read(loaded: LoadedPair, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import GenerationConfig

    assert own_sampling(loaded.model) == Sampling(0.6, 1.0, 20, 512)
    own = GenerationConfig(do_sample=False, temperature=0.6, top_p=0.95, max_new_tokens=7)
    monkeypatch.setattr(loaded.model, "generation_config", own)
    assert own_sampling(loaded.model) == Sampling(0.0, 0.95, 0, 7)


def test_a_model_without_template_says_so(tmp_path: Path) -> None:
    loaded = load_model_and_tokenizer(make_model(tmp_path, template=""), LoadOptions(device="cpu"))

    with pytest.raises(LoadError, match="no chat template"):
        answer(loaded, "Hello")


def test_where_the_system_has_no_thread_the_answer_comes_at_once(
    loaded: LoadedPair, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted("Hello 你好.<|im_end|>")
    limit_threads(monkeypatch, 0)

    assert answer(loaded, "Hi") == "Hello 你好."
