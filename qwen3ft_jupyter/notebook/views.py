"""What the verbs return: values that show themselves as a table or a few lines, and hold the data they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.faces.format import columns, plain
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.notebook.markup import element, joined, table, verbatim

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup

    from qwen3ft_jupyter.faces.views import Table


class View:
    """Something that shows itself in a notebook and on a terminal."""

    def html(self) -> Markup:
        """Return the rich form."""
        raise NotImplementedError

    def text(self) -> str:
        """Return the plain form."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:  # noqa: ARG002
        return {"text/html": verbatim(self.html()), "text/plain": self.text()}

    def __repr__(self) -> str:
        return self.text()


@dataclass(frozen=True, repr=False)
class TableView(View):
    """A table. Iterates over what its rows were made of."""

    table: Table

    def html(self) -> Markup:
        """Return title, table and notes."""
        rows = self.table.rows
        shown = table(self.table.columns, rows) if rows else element("div", tr("none"))
        notes = (element("div", note, style="opacity:0.75") for note in self.table.notes)
        return element("div", element("div", element("b", self.table.title)), shown, *notes)

    def text(self) -> str:
        """Return the same in columns."""
        written = columns(self.table.columns, self.table.rows) if self.table.rows else tr("none")
        lines = [f"  {line}" for line in written.splitlines()]
        return "\n".join([plain(self.table.title), *lines, *map(plain, self.table.notes)])

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.table.data)

    def __len__(self) -> int:
        return len(self.table.data)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.table.data[index]


@dataclass(frozen=True, repr=False)
class Note(View):
    """A sentence that says what was done, and the value of it."""

    message: str
    value: Any = None

    def html(self) -> Markup:
        """Return the sentence."""
        return element("div", self.message, style="white-space:pre-line")

    def text(self) -> str:
        """Return the sentence."""
        return plain(self.message)


@dataclass(frozen=True, repr=False)
class TextView(View):
    """Text with its line breaks: an answer of a model, or a log."""

    content: str
    is_code: bool = False

    def html(self) -> Markup:
        """Return the text, wrapped where it is prose."""
        if self.is_code:
            return element("pre", self.content, style="max-height:30em;overflow:auto")
        return element("div", self.content, style="white-space:pre-wrap;overflow-wrap:anywhere;max-width:60em")

    def text(self) -> str:
        """Return the text."""
        return plain(self.content)

    def __str__(self) -> str:
        return self.content


def lines(parts: Sequence[str]) -> Markup:
    """Return one block per part."""
    return joined(element("div", part) for part in parts)
