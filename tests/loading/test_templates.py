from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import LoadError, UnsafeModel
from qwen3ft_jupyter.loading.load import load_tokenizer
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer
from tests.faults.scarcity import limit_threads
from tests.loading.tiny_qwen3 import HYBRID, INSTRUCT, THINKING

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = [{"role": "user", "content": "q <b> '\"& 你好 {{ 1 }}"}]
LONG: list[dict[str, Any]] = [
    {"role": "system", "content": "s"},
    *QUESTION,
    {"role": "assistant", "content": "a", "reasoning_content": "hm"},
    {"role": "tool", "content": "t"},
    {"role": "assistant", "content": "b"},
]


@pytest.mark.train
@pytest.mark.parametrize(
    "template",
    [
        HYBRID,
        INSTRUCT,
        THINKING,
        "{{ messages | tojson(indent=1) }}{{ eos_token }}",
        "{% for m in messages %}\n  {% if loop.index > 1 %}{% break %}{% endif %}\n{{ m.role }}\n{% endfor %}",
        "{% generation %}{{ messages[0].content }}{% endgeneration %}|",
    ],
)
@pytest.mark.parametrize("messages", [QUESTION, LONG])
@pytest.mark.parametrize("thinking", [True, False])
def test_the_text_is_the_one_transformers_renders(
    tiny: Path, template: str, messages: list[dict[str, Any]], *, thinking: bool
) -> None:
    tokenizer = load_tokenizer(tiny)
    tokenizer.chat_template = template
    variables = {"add_generation_prompt": True, "enable_thinking": thinking}

    with TemplateRenderer.of(tokenizer) as renderer:
        text = renderer.render([Rendering(messages, variables)])[0]

    assert text == tokenizer.apply_chat_template(messages, tokenize=False, **variables)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10 ** 9 }}",
        "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'a' * 99999 }}{% endfor %}",
    ],
)
def test_a_template_that_eats_memory_or_time_is_stopped(template: str) -> None:
    """Alone, it would take hours, or more memory than there is."""
    with TemplateRenderer(template, time_s=2.0) as renderer, pytest.raises((UnsafeModel, LoadError)):
        renderer.render([Rendering(QUESTION)])


@pytest.mark.parametrize(
    "template",
    ["{{ ''.__class__.__mro__ }}", "{{ cycler.__init__.__globals__.os.getcwd() }}", "{{ messages.append(1) }}"],
)
def test_a_template_cannot_leave_the_sandbox(template: str) -> None:
    with TemplateRenderer(template) as renderer, pytest.raises(LoadError, match="SecurityError"):
        renderer.render([Rendering(QUESTION)])


def test_a_template_that_is_none_is_named() -> None:
    with (
        TemplateRenderer("{% if %}") as renderer,
        pytest.raises(LoadError, match="is not a template: TemplateSyntaxError"),
    ):
        renderer.render([Rendering(QUESTION)])


def test_a_refusal_is_told_in_the_templates_own_words_and_the_next_rendering_works() -> None:
    template = "{% if messages[0].role != 'user' %}{{ raise_exception('roles must alternate') }}{% endif %}ok"

    with TemplateRenderer(template) as renderer:
        with pytest.raises(LoadError, match="roles must alternate"):
            renderer.render([Rendering([{"role": "tool", "content": ""}])])

        assert renderer.render([Rendering(QUESTION)]) == ["ok"]


def test_the_child_gets_no_token_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    started: list[Any] = []
    popen = subprocess.Popen

    def record(*arguments: Any, **options: Any) -> Any:
        started.append((popen(*arguments, **options), options["env"]))
        return started[-1][0]

    monkeypatch.setattr(subprocess, "Popen", record)
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    with TemplateRenderer("x") as renderer:
        renderer.render([Rendering(QUESTION)])

    process, environment = started[0]
    assert "HF_TOKEN" not in environment
    assert "PATH" in environment or os.name == "nt"
    assert process.returncode is not None


@pytest.mark.parametrize("threads", [0, 9])
def test_a_template_is_rendered_and_a_greedy_one_refused_whatever_threads_there_are(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    limit_threads(monkeypatch, threads)

    with TemplateRenderer("{{ messages[0].content }}") as renderer:
        assert renderer.render([Rendering(QUESTION)]) == [QUESTION[0]["content"]]
    greedy = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with TemplateRenderer(greedy, time_s=1.0) as renderer, pytest.raises(UnsafeModel):
        renderer.render([Rendering(QUESTION)])
