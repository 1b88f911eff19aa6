"""What a move of the cache would be, as values. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces.views import Table
from qwen3ft_jupyter.messages import Names, size, tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.cache.reports import MovePlan


def move_table(plan: MovePlan) -> Table:
    """Return how much would move and how, a fact a row, and below what has to be done afterwards."""
    title = tr("Folders that would move: {count}; {size}.", count=len(plan.folders), size=size(plan.size_bytes))
    return Table(title, (tr("What"), tr("Value")), tuple(_rows(plan)), tuple(_notes(plan)), (plan.to_dict(),))


def _rows(plan: MovePlan) -> Iterator[tuple[str, str]]:
    yield tr("from"), plan.source
    yield tr("to"), plan.target
    copied = tr("{size}, each file read again", size=size(plan.bytes_to_copy))
    yield tr("copied"), copied if plan.bytes_to_copy else tr("nothing: the folders are renamed")
    if plan.free_bytes is not None:
        yield tr("free there"), size(plan.free_bytes)
    if plan.stays:
        yield tr("not moved"), tr(Names(plan.stays).as_message())


def _notes(plan: MovePlan) -> Iterator[str]:
    if plan.missing_bytes:
        yield tr("It does not fit: {size} are missing.", size=size(plan.missing_bytes))
    yield tr(
        "Afterwards MODEL_CACHE_DIR has to name the new folder; now it comes from: {origin}.", origin=tr(plan.origin)
    )
