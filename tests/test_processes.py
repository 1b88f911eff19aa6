from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from qwen3ft_jupyter.processes import ProcessIdentity

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")


def test_this_process_is_surely_alive() -> None:
    owner = ProcessIdentity.from_dict(ProcessIdentity.current().to_dict())

    assert owner.is_surely_alive
    assert not owner.is_surely_dead


def test_a_process_that_ended_is_surely_dead() -> None:
    code = (
        "import json; from qwen3ft_jupyter.processes import ProcessIdentity;"
        "print(json.dumps(ProcessIdentity.current().to_dict()))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    owner = ProcessIdentity.from_dict(json.loads(done.stdout))

    assert owner.is_surely_dead


def test_a_process_number_used_again_is_another_process() -> None:
    owner = ProcessIdentity.current()._replace(started=1.0)

    assert owner.is_surely_dead


def test_a_process_before_the_last_boot_is_surely_dead() -> None:
    assert ProcessIdentity.current()._replace(boot="another").is_surely_dead


def test_of_another_machine_nothing_is_sure() -> None:
    owner = ProcessIdentity.current()._replace(host="another")

    assert not owner.is_surely_alive
    assert not owner.is_surely_dead


@linux
def test_of_another_container_nothing_is_sure_even_if_its_host_name_is_the_same() -> None:
    """Its process numbers are others: 7 there is not 7 here."""
    owner = ProcessIdentity.current()._replace(space="pid:[1]")

    assert not owner.is_surely_alive
    assert not owner.is_surely_dead


@linux
def test_a_process_in_a_namespace_of_its_own_sees_that_it_cannot_see_us() -> None:
    unshare = shutil.which("unshare")
    command = [str(unshare), "--pid", "--fork", "--mount-proc"]
    if unshare is None or subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a namespace of its own needs root")
    code = (
        "import json, sys; from qwen3ft_jupyter.processes import ProcessIdentity;"
        "owner = ProcessIdentity.from_dict(json.loads(sys.argv[1]));"
        "print(owner.is_surely_alive, owner.is_surely_dead, json.dumps(ProcessIdentity.current().to_dict()))"
    )
    ours = json.dumps(ProcessIdentity.current().to_dict())

    done = subprocess.run([*command, sys.executable, "-c", code, ours], check=True, capture_output=True, text=True)

    alive, dead, theirs = done.stdout.split(maxsplit=2)
    assert (alive, dead) == ("False", "False")
    assert not ProcessIdentity.from_dict(json.loads(theirs)).is_surely_dead, "nor can we see it"


@linux
def test_of_a_process_that_proc_hides_nothing_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mount option hidepid, /proc shows no processes of other users."""

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr("qwen3ft_jupyter.processes.os.kill", refuse)
    owner = ProcessIdentity.current()._replace(pid=(1 << 31) - 1)

    assert not owner.is_surely_alive
    assert not owner.is_surely_dead


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"host": 1, "boot": "", "space": "", "pid": 1, "started": 1}]
    + [{"host": "", "boot": "", "space": "", "pid": pid, "started": 1.0} for pid in (0, -1, True, "1", 1 << 40)]
    + [{"host": "", "boot": "", "space": "", "pid": 1, "started": started} for started in (None, float("nan"), True)],
)
def test_what_others_wrote_is_validated(data: object) -> None:
    with pytest.raises(ValueError, match="process"):
        ProcessIdentity.from_dict(data)
