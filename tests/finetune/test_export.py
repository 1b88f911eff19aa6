"""What Ollama is given: its template writes what the model's own template writes, for every kind of Qwen3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import LoadError
from qwen3ft_jupyter.finetune.export import export, modelfile, ollama_template, served_name
from qwen3ft_jupyter.loading.load import load_tokenizer
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from qwen3ft_jupyter.work import Work
from tests.loading.tiny_qwen3 import HYBRID, INSTRUCT, THINKING, make_model

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM, USER = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello {{ you }}"}
TALKS: list[list[dict[str, str]]] = [
    [USER],
    [SYSTEM, USER],
    [USER, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "你好"}],
]


class Go:
    """As much of Go's templates as ours use: fields, if and else, range, and the trimming of white space."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"\s*{{- ", "{{ ", text)
        text = re.sub(r" -}}\s*", " }}", text)
        self.parts = re.split(r"({{.*?}})", text)
        self.at = 0

    def render(self, data: dict[str, Any]) -> str:
        self.at = 0
        return self._block({"$": data, ".": data})

    def _block(self, scope: dict[str, Any], *, is_on: bool = True) -> str:
        written = ""
        while self.at < len(self.parts):
            part = self.parts[self.at]
            self.at += 1
            if not part.startswith("{{"):
                written += part if is_on else ""
                continue
            word, _, rest = part[2:-2].strip().partition(" ")
            if word in ("end", "else"):
                self.at -= 1
                return written
            if word == "if":
                written += self._if(rest, scope, is_on=is_on)
            elif word == "range":
                written += self._range(scope, is_on=is_on)
            elif word.startswith("$") and rest.startswith(":="):
                scope[word] = is_on and self._value(rest[2:].strip(), scope)
            else:
                written += str(self._value(part[2:-2].strip(), scope)) if is_on else ""
        return written

    def _if(self, condition: str, scope: dict[str, Any], *, is_on: bool) -> str:
        is_true = is_on and bool(self._value(condition, scope))
        written, is_over = self._block(scope, is_on=is_true), is_true
        while self.parts[self.at][2:-2].strip().startswith("else"):
            _, _, other = self.parts[self.at][2:-2].strip().partition(" ")
            self.at += 1
            is_true = is_on and not is_over and (not other or bool(self._value(other.removeprefix("if "), scope)))
            written += self._block(scope, is_on=is_true)
            is_over = is_over or is_true
        self.at += 1
        return written

    def _range(self, scope: dict[str, Any], *, is_on: bool) -> str:
        start, written = self.at, ""
        for index, message in enumerate(scope["$"]["Messages"]):
            self.at = start
            written += self._block({**scope, ".": message, "$i": index}, is_on=is_on)
        self.at += 1
        return written

    def _value(self, text: str, scope: dict[str, Any]) -> Any:
        words = re.findall(r'"[^"]*"|[()]|[^\s()]+', text)
        value, rest = self._call(words, scope)
        assert rest == []
        return value

    def _call(self, words: list[str], scope: dict[str, Any]) -> tuple[Any, list[str]]:
        values: list[Any] = []
        while words and words[0] != ")":
            if words[0] == "(":
                value, words = self._call(words[1:], scope)
            else:
                value = self._word(words[0], scope)
            words = words[1:]
            values.append(value)
        return self._do(values), words

    def _word(self, word: str, scope: dict[str, Any]) -> Any:
        if word.startswith('"'):
            return word[1:-1]
        if word.isdecimal():
            return int(word)
        if word.startswith("$."):
            return scope["$"].get(word[2:])
        if word.startswith("."):
            return scope["."].get(word[1:], "")
        return scope[word] if word.startswith("$") else getattr(self, f"do_{word}")

    @staticmethod
    def _do(values: list[Any]) -> Any:
        first, *rest = values
        return first(*rest) if callable(first) else first

    do_eq = staticmethod(lambda a, b: a == b)
    do_ne = staticmethod(lambda a, b: a != b)
    do_and = staticmethod(lambda a, b: a and b)
    do_not = staticmethod(lambda a: not a)
    do_len = staticmethod(len)
    do_slice = staticmethod(lambda values, start: values[start:])


@pytest.mark.parametrize("template", [HYBRID, INSTRUCT, THINKING], ids=["hybrid", "instruct", "thinking"])
@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("thinking", [True, False])
def test_ollamas_template_writes_what_the_models_own_writes(
    tmp_path: Path, template: str, talk: list[dict[str, str]], *, thinking: bool
) -> None:
    tokenizer = load_tokenizer(make_model(tmp_path / "model", template=template))
    with TemplateRenderer.of(tokenizer) as renderer:
        written = ollama_template(renderer)
        wanted = renderer.render([Rendering(talk, {"add_generation_prompt": True, "enable_thinking": thinking})])[0]
    given = {
        "System": "\n\n".join(one["content"] for one in talk if one["role"] == "system"),
        "Messages": [{"Role": one["role"], "Content": one["content"], "Thinking": ""} for one in talk],
        "IsThinkSet": True,
        "Think": thinking,
    }

    assert Go(written).render(given) == wanted


def test_another_template_is_refused(tmp_path: Path) -> None:
    other = "{% for turn in messages %}[{{ turn.role }}] {{ turn.content }}\n{% endfor %}"
    model = make_model(tmp_path / "model", template=other)

    with pytest.raises(LoadError, match="not in the form that is known for Ollama"):
        export(model, "mine", "ollama", tmp_path / "out", Work())

    assert not (tmp_path / "out").exists()


def test_a_modelfile_names_model_ends_and_sampling(tmp_path: Path) -> None:
    settings = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.05}

    text = modelfile(tmp_path, "TEXT", ["<|im_end|>", "<|endoftext|>"], settings)

    assert text.splitlines() == [
        f"FROM {tmp_path}",
        'TEMPLATE """TEXT"""',
        'PARAMETER stop "<|im_end|>"',
        'PARAMETER stop "<|endoftext|>"',
        "PARAMETER temperature 0.6",
        "PARAMETER top_p 0.95",
        "PARAMETER top_k 20",
        "PARAMETER repeat_penalty 1.05",
    ]


def test_the_modelfile_of_the_practice_model(tmp_path: Path) -> None:
    result = export(MODEL_FOLDER, "runs/My first", "ollama", tmp_path / "out", Work())

    lines = (tmp_path / "out/Modelfile").read_text().splitlines()
    assert lines[0] == f"FROM {MODEL_FOLDER}"
    assert lines[-3:] == ['PARAMETER stop "<|im_end|>"', 'PARAMETER stop "<|endoftext|>"', "PARAMETER temperature 0"]
    assert list(result.commands) == [f"ollama create my-first -f {tmp_path}/out/Modelfile", "ollama run my-first"]


@pytest.mark.parametrize(
    ("name", "served"),
    [("runs/First", "first"), ("C:\\runs\\a b", "a-b"), ("微调", "model"), ("-x.", "x"), ("", "model")],
)
def test_every_server_takes_the_name(name: str, served: str) -> None:
    assert served_name(name) == served
