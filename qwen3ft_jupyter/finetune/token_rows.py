"""Which tokens have their rows in embedding and head trained with an adapter, and what is said of it. Pure.

An adapter on the linear layers hardly teaches a base model to end a turn: the rows of the token that does it in
embedding and head were never trained, and nothing else decides how likely it is. The rows themselves are few weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.rules import HEAD
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.samples import SampleReport


def token_rows(config: FineTuneConfig, report: SampleReport) -> tuple[int, ...]:
    """Return the ids of the tokens whose rows a run trains beside its LoRA, in their order.

    A run that is trained further keeps those it has. Raises BadConfig if that cannot be read.
    """
    if config.method == "full":
        return ()
    if config.init_from:
        from qwen3ft_jupyter.finetune.earlier import find_parent  # most runs begin with none

        return find_parent(Path(config.init_from)).token_rows
    given = config.lora.trainable_token_indices
    return tuple(token for token, _ in report.untaught) if given == "auto" else given


def row_notices(config: FineTuneConfig, report: SampleReport) -> list[str]:
    """Return what a person should know of the tokens that a base model has not learned. Raises as `token_rows`."""
    if not report.untaught or (config.method == "full" and config.trainable_layers is None):
        return []
    rows = token_rows(config, report)
    trained = _names(name for token, name in report.untaught if token in rows)
    left = _names(name for token, name in report.untaught if token not in rows)
    told: list[str] = []
    if trained:
        told.append(
            Message(
                "A base model has not learned the tokens {names} of its template: their rows in the embedding are "
                "trained, too; those in the head are adapted."
                if HEAD in config.lora.targets
                else "A base model has not learned the tokens {names} of its template: their rows in embedding and "
                "head are trained, too.",
                names=trained,
            )
        )
    if left:
        told.append(
            Message(
                "WARNING: a base model has not learned the tokens {names} of its template, and {field} leaves their "
                "rows as they are: answers may go on without end.",
                names=left,
                field=_field(config),
            )
        )
    return told


def _field(config: FineTuneConfig) -> str:
    """Return the field that decides which rows are trained."""
    if config.method == "full":
        return "trainable_layers"
    return "init_from" if config.init_from else "lora.trainable_token_indices"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
