"""What a job begins with: anew, or where an unfinished run in the output folder has come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.disk import make_folders, write_json
from qwen3ft_jupyter.finetune import job, results
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.holding import HOLDER
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from qwen3ft_jupyter.finetune.start import Start


class Told(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(str(message))


@dataclass
class Context:
    folder: Path
    work: Work
    attempt: int = 1


@pytest.mark.parametrize(
    ("now", "goes_on", "said"),
    [
        ({}, True, []),
        ({"overwrite": True}, True, []),
        ({"learning_rate": 1e-3}, True, []),  # the run itself refuses that, before it writes anything
        (
            {"learning_rate": 1e-3, "overwrite": True},
            False,
            ["output_dir holds an unfinished fine-tune with another learning_rate. overwrite is true: it begins anew."],
        ),
    ],
)
def test_the_line_of_a_launcher_goes_on_but_with_overwrite_and_other_fields_begins_anew(
    now: dict[str, Any], said: list[str], fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, goes_on: bool
) -> None:
    fields = {**fields, "learning_rate": 2e-4, "device": "cpu"}
    folder = Path(fields["output_dir"])
    make_folders(folder)
    begun = results.Record(FineTuneConfig.from_dict(fields).to_dict(), "the first", None, (), {})
    write_json(folder / results.CONFIG, begun.to_json())
    starts: list[Start] = []

    def lead(_config: FineTuneConfig, start: Start, _work: Work) -> None:
        assert (folder / HOLDER).exists()
        starts.append(start)

    monkeypatch.setattr(job, "lead", lead)
    told = Told()

    job.run(FineTuneConfig.from_dict({**fields, **now}), Path(), Context(Path("the second"), Work(told)), goes_on=True)

    assert (starts[0].resume, starts[0].run_id) == ((True, "the first") if goes_on else (False, "the second"))
    assert starts[0].overwrites == (goes_on and "overwrite" in now)
    assert told.notices == said
    assert not (folder / HOLDER).exists()
