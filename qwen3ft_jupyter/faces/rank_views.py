"""What is shown of the processes that work together for a job, as values. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.work import HEALTHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.jobs.state import JobStatus
    from qwen3ft_jupyter.work import RanksJson


def rank_table(status: JobStatus) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return the heads of the columns, and a row for each process; nothing of a job of one process.

    How a process is, is told while the job is at work; afterwards only of those that were gone.
    """
    told = status.ranks
    if told is None:
        return (), []
    has_hosts = any(row["host"] for row in told["ranks"])
    head = (
        tr("process"),
        *((tr("host"),) if has_hosts else ()),
        tr("device"),
        tr("state"),
        tr("share of the tokens"),
        tr("time computing"),
    )
    rows = [
        (
            f"{row['rank']}",
            *((row["host"],) if has_hosts else ()),
            row["device"],
            tr(HEALTHS[row["health"]]) if status.is_active or row["health"] == "gone" else "",
            _percent(row["work"]),
            _percent(row["busy"]),
        )
        for row in told["ranks"]
    ]
    return head, [tuple(row) for row in rows]


def rank_words(told: RanksJson) -> str:
    """Return how fast the processes are together, and how well.

    >>> metrics = {"tokens_per_s": 900.0, "tokens_per_s_per_device": 450.0, "parallel_efficiency": 0.82}
    >>> rank_words({"metrics": metrics, "ranks": []})
    '900 tokens/s, 450 on each device · parallel efficiency 82 %'
    >>> more = {"communication_share": 0.09, "slowest_rank": 1, "slowest_rank_excess": 0.11}
    >>> rank_words({"metrics": more, "ranks": []})
    'communication 9 % · process 1 is the slowest, 11 % over the mean'
    """
    metrics = told["metrics"]
    parts = []
    if "tokens_per_s_per_device" in metrics:
        rates = {"rate": f"{metrics['tokens_per_s']:,.0f}", "each": f"{metrics['tokens_per_s_per_device']:,.0f}"}
        parts.append(tr("{rate} tokens/s, {each} on each device", **rates))
    if "parallel_efficiency" in metrics:
        parts.append(tr("parallel efficiency {share}", share=_percent(metrics["parallel_efficiency"])))
    if "communication_share" in metrics:
        parts.append(tr("communication {share}", share=_percent(metrics["communication_share"])))
    if "slowest_rank" in metrics:
        excess = _percent(metrics["slowest_rank_excess"])
        rank = int(metrics["slowest_rank"])
        parts.append(tr("process {rank} is the slowest, {excess} over the mean", rank=rank, excess=excess))
    return " · ".join(parts)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"
