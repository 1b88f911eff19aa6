"""Whatever a hub, a file name or an error says, it stays text."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.faces.format import plain
from qwen3ft_jupyter.faces.job_views import job_text, jobs_table
from qwen3ft_jupyter.faces.losses import Losses
from qwen3ft_jupyter.faces.views import cache_table, models_table, plan_table, status_table
from qwen3ft_jupyter.manager.overview import ModelRow, SettingRow
from qwen3ft_jupyter.notebook import views
from qwen3ft_jupyter.notebook.display import CellReporter
from qwen3ft_jupyter.notebook.forms import FineTuneForm
from qwen3ft_jupyter.notebook.job_view import JobView, job_html
from qwen3ft_jupyter.notebook.markup import bar, curve, element, joined, table
from tests.server.standin import (
    DONE,
    FAILED,
    HALFWAY,
    HOSTILE,
    StandInJob,
    StandInManager,
    as_cached,
    cached_row,
    plan_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup

    from qwen3ft_jupyter.faces.views import Table
    from qwen3ft_jupyter.jobs.state import JobSnapshot, JobStatus
    from qwen3ft_jupyter.manager.overview import Description


class Tags(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == [], "a tag is left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = element("b", "a & b")

    assert element("div", inner, "<c>", title='"d"') == ('<div title="&#34;d&#34;"><b>a &amp; b</b>&lt;c&gt;</div>')
    assert joined(["<a>", inner], " < ") == "&lt;a&gt; &lt; <b>a &amp; b</b>"


@pytest.mark.parametrize("text", ["\x1b[31mred", "\u202egnp.exe", "a\x00b", "bell\x07"])
def test_what_a_terminal_would_obey_is_replaced(text: str) -> None:
    assert "\ufffd" in plain(text)
    assert "\ufffd" in element("p", text)


def test_a_bar_without_a_total_shows_that_something_goes_on() -> None:
    assert "value" not in bar(None)
    assert 'value="50.0"' in bar(0.5)


def test_a_curve_needs_two_finite_points_and_survives_the_rest() -> None:
    assert curve([1.0], "loss") == ""
    assert curve([float("nan"), float("inf"), 1.0], "loss") == ""
    assert "nan" not in curve([2.0, float("nan"), 1.0], "loss")
    assert "polyline" in curve([1.0, 1.0], "loss")


def hostile_views() -> list[Markup]:
    job = StandInJob("id-" + HOSTILE, title=HOSTILE, script=[FAILED])
    about = job.snapshot()
    source = {"name": HOSTILE, "bytes": 1}
    error = {"code": HOSTILE, "message": HOSTILE, "hint": HOSTILE}
    row = SettingRow(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    status = replace(StandInManager().describe(), rows=(row,), notices=(HOSTILE,))

    def job_with(**changes: Any) -> JobSnapshot:
        return replace(about, status=replace(about.status, **changes))

    return [
        job_html(job_with(error=error, notices=(HOSTILE,)), Losses([2.0, 1.0])),
        job_html(job_with(state="succeeded", error=None, result={"folder": HOSTILE, "hub": HOSTILE})),
        *(views.TableView(shown).html() for shown in hostile_tables(about, status)),
        views.TextView(HOSTILE).html(),
        job_html(job_with(result={"folder": HOSTILE, "bytes": 1, "sources": [source], "evicted": [HOSTILE]})),
        views.TextView(HOSTILE, is_code=True).html(),
        views.Note(HOSTILE).html(),
        table([HOSTILE], [[HOSTILE]]),
    ]


def hostile_tables(job: JobSnapshot, status: Description) -> list[Table]:
    summary = replace(StandInManager().summarize_cache(), cache_dir=HOSTILE)
    state: Any = HOSTILE
    file = {"path": HOSTILE, "size": 1, "action": "fetched", "source": HOSTILE, "bytes_to_fetch": 1}
    changes: dict[str, Any] = {"revision": HOSTILE, "sources": [HOSTILE], "to_evict": [HOSTILE], "files": [file]}
    return [
        models_table([ModelRow(HOSTILE, HOSTILE, note=HOSTILE)], "magic"),
        cache_table([as_cached(cached_row(HOSTILE, hub=HOSTILE, owner=HOSTILE, revision=HOSTILE))], summary, "magic"),
        plan_table(plan_of(HOSTILE, missing_bytes=1, evictable=[(HOSTILE, 1)], **changes)),
        jobs_table([replace(job, status=replace(job.status, state=state))], "magic"),
        status_table(status),
    ]


@pytest.mark.parametrize("html", hostile_views())
def test_a_strangers_words_make_no_tag_and_no_attribute(html: Markup) -> None:
    found = Tags(html)

    assert HOSTILE not in html
    assert "img" not in found.tags
    assert "onerror" not in found.attributes


@pytest.mark.parametrize("state", [HALFWAY, DONE, FAILED])
def test_colours_are_the_themes(state: JobStatus) -> None:
    html = job_html(StandInJob("a", script=[state]).snapshot(), Losses([2.0, 1.0]))

    assert "color:" not in html.replace("currentColor", "")
    assert "<style" not in html


def test_the_text_of_a_job_holds_no_control_characters() -> None:
    job = StandInJob("a", title="\x1b]0;title\x07").snapshot()

    assert "\x1b" not in job_text(job)


def test_what_stands_between_dollars_is_no_formula(tmp_path: Path) -> None:
    """JupyterLab and the exports of nbconvert leave alone what has their class."""
    shown: list[dict[str, Any]] = [views.Note("$5 and $10")._repr_mimebundle_()]
    shown.append(JobView(StandInJob("a", script=[DONE]).real).bundle())
    CellReporter(SimpleNamespace(show=shown.append)).notice("from $a to $b")
    form = FineTuneForm(StandInManager(tmp_path).real)
    form.epochs.value = "$1 and $2"
    form.panel.show_error(NoSpace("from $a to $b"))

    for html in (*(bundle["text/html"] for bundle in shown), form.preview.value, form.panel.problem.value):
        assert html.startswith('<div class="mathjax_ignore tex2jax_ignore">')


@pytest.mark.parametrize("is_code", [False, True])
def test_an_answer_stays_whole_in_markdown(*, is_code: bool) -> None:
    """There HTML ends at an empty line, and what follows is read as Markdown."""
    text = "First.\n\n# no heading\n \t\n    no code\n\n\n*plain*\n\n"

    html = views.TextView(text, is_code=is_code)._repr_mimebundle_()["text/html"]

    assert all(line.strip() for line in html.splitlines())
    assert text in unescape(html)
