from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from qwen3ft_jupyter.transfer.owner import Owner


def test_this_process_is_surely_alive() -> None:
    owner = Owner.from_dict(Owner.current().to_dict())

    assert owner.is_surely_alive
    assert not owner.is_surely_dead


def test_a_process_that_ended_is_surely_dead() -> None:
    code = "import json; from qwen3ft_jupyter.transfer.owner import Owner; print(json.dumps(Owner.current().to_dict()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    owner = Owner.from_dict(json.loads(done.stdout))

    assert owner.is_surely_dead


def test_a_process_number_used_again_is_another_process() -> None:
    owner = dataclasses.replace(Owner.current(), started=1.0)

    assert owner.is_surely_dead


def test_a_process_before_the_last_boot_is_surely_dead() -> None:
    assert dataclasses.replace(Owner.current(), boot_id="another").is_surely_dead


def test_of_another_machine_nothing_is_sure() -> None:
    owner = dataclasses.replace(Owner.current(), host="another")

    assert not owner.is_surely_alive
    assert not owner.is_surely_dead


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"host": 1, "boot_id": "", "pid": 1, "started": 1}]
    + [{"host": "", "boot_id": "", "pid": pid, "started": 1.0} for pid in (0, -1, True, "1", 1 << 40)]
    + [{"host": "", "boot_id": "", "pid": 1, "started": started} for started in (None, float("nan"), True)],
)
def test_what_others_wrote_is_validated(data: object) -> None:
    with pytest.raises(ValueError, match="process"):
        Owner.from_dict(data)
