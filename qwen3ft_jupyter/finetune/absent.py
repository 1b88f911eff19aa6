"""Data sets of a hub that a fine-tune's `data` names and that are not here: what a plan or a preview did not look at.

They may be of any size: who plans is told how large they are, and fetches them if that is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.finetune.sources import named_repo
from qwen3ft_jupyter.messages import Command, Message, Size, Texts, as_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class AbsentData:
    """A data set that is not here."""

    name: str
    """By which it is downloaded, with its hub: ``ms:owner/name:subset:split``."""
    size: int | None
    """Bytes of what is read of it; None: no hub has told."""

    @property
    def words(self) -> str:
        """Return name and size."""
        if self.size is None:
            return Message("{name} (size not known)", name=self.name)
        return Message("{name} ({size})", name=self.name, size=Size(self.size))


def split_absent(config: FineTuneConfig) -> tuple[FineTuneConfig | None, list[str]]:
    """Return the config with the data that is here, None if there is none, and the data sets that are not."""
    named = [(item, named_repo(item)) for item in config.data]
    here = tuple(item for item, repo in named if repo is None)
    absent = list(dict.fromkeys(repo[0] for _, repo in named if repo is not None))
    return (config.model_copy(update={"data": here}) if here else None), absent


def check_here(config: FineTuneConfig, work: Work | None = None) -> None:
    """Read the data that is here, before a job begins that fetches the rest. Raises as `check_data`."""
    from qwen3ft_jupyter.finetune.data import check_data

    here, _ = split_absent(config)
    if here is not None:
        check_data(here, work)


def notice_of(absent: Sequence[AbsentData]) -> str:
    """Return what is told of a plan or a preview that has other data to go by."""
    return Message(
        "Not looked at, for it is not here yet: {names}. Download it: {command}",
        names=Texts([one.words for one in absent]),
        command=_commands(absent),
    )


def nothing_here(absent: Sequence[AbsentData]) -> NotCached:
    """Return the error for a plan or a preview that has no data to go by."""
    return NotCached(
        "The data is not here yet: {names}.",
        hint="Download it first; a fine-tune that is started does so itself: {command}",
        names=Texts([one.words for one in absent]),
        command=_commands(absent),
    )


def _commands(absent: Sequence[AbsentData]) -> Texts:
    """Return what downloads them: a command takes one."""
    return Texts([as_message("{command}", {"command": Command("download", one.name)}) for one in absent])
