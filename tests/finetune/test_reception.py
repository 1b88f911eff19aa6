"""Who comes to the first host of several: what each is asked, and who is refused. No torch is needed for that."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import threading
import time
from dataclasses import replace
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import JobFailed, Qwen3ftError
from qwen3ft_jupyter.finetune import joining
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.joining import join
from qwen3ft_jupyter.finetune.launch import Heard
from qwen3ft_jupyter.finetune.probe import HostFacts, Probe, data_digests, model_digests
from qwen3ft_jupyter.finetune.reception import Reception
from qwen3ft_jupyter.finetune.start import Start
from qwen3ft_jupyter.finetune.wire import Line, connect, free_port, own_address, read_key
from qwen3ft_jupyter.work import Progress, Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = pytest.mark.skipif(os.name == "nt", reason="several hosts are on Linux")


@pytest.fixture
def reception(fields: dict[str, Any], tiny: Path) -> Iterator[Reception]:
    config = FineTuneConfig.from_dict({**fields, "hosts": 2, "hosts_address": "127.0.0.1"})
    with contextlib.ExitStack() as stack:
        found = Reception(config, Start(tiny), stack)
        heard = Heard(found.door, found.greet)
        stack.callback(heard.close)
        yield found


def come(reception: Reception, facts: HostFacts | None = None) -> Line:
    line = Line(connect(reception.address, reception.key))
    line.tell(host={"facts": (facts or HostFacts.here()).to_dict(), "index": None})
    return line


def until(look: Callable[[], list[str]]) -> list[str]:
    while not (seen := look()):
        time.sleep(0.05)
    return seen


def said(told: dict[str, Any]) -> str:
    return str(told["over"]["error"]["message"])


def answer(line: Line, fields: dict[str, Any], **other: Any) -> dict[str, Any]:
    asked = line.hear()
    line.tell(
        **{**Probe.answer(asked["probe"]), "devices": ["cpu"], "digests": data_digests([fields["data"]]), **other}
    )
    return line.hear()


def test_a_host_that_can_take_part_is_told_of_the_model(
    reception: Reception, fields: dict[str, Any], tiny: Path
) -> None:
    line = come(reception)
    told = answer(line, fields)
    line.tell(ready=True)
    line.tell(ended=0, number=-1)
    reception.news.get(timeout=30)

    assert told["model"]["folder"] == str(tiny)
    assert [host.devices for host in reception.hosts()] == [["cpu"]]
    assert not list(reception.folder.glob("probe-*"))
    assert "too many" in said(answer(come(reception), fields))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"word": ""}, "it does not see output_dir"),
        ({"reason": "Read-only file system"}, "it cannot write to output_dir"),
        ({"digests": {}}, "is not there"),
    ],
)
def test_a_host_that_cannot_is_told_why_and_named(
    reception: Reception, fields: dict[str, Any], other: dict[str, Any], words: str
) -> None:
    told = answer(come(reception, replace(HostFacts.here(), name="gpu-2")), fields, **other)
    host, news = reception.news.get(timeout=30)

    assert words in str(told)
    assert host.facts.name == "gpu-2"
    assert words in str(news["refused"])
    assert not reception.hosts()


class OneModel:
    """A host that has a model of that name, and can get that of the first."""

    def __init__(self, here: Path, fetched: Path) -> None:
        self.here, self.fetched = here, fetched

    def find(self, _name: str, _commit: str | None, _folder: Path) -> Path | None:
        return self.here

    def fetch(self, _name: str, _commit: str | None, _mirror: Mapping[str, str] | None) -> Path:
        return self.fetched


@pytest.mark.parametrize("can_fetch", [True, False])
def test_without_a_commit_other_weights_of_the_same_name_are_not_trained(
    reception: Reception, tiny: Path, tmp_path: Path, *, can_fetch: bool
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    output_dir = reception.folder.parent.parent
    work = Work()
    models = OneModel(other, tiny if can_fetch else other)
    thread = threading.Thread(
        target=lambda: refused.extend(refusals(output_dir, reception.address, models, work)), daemon=True
    )
    refused: list[str] = []
    thread.start()

    if can_fetch:
        assert until(lambda: [host.facts.name for host in reception.hosts()])
        work.stop.set()
        thread.join(60)
        assert refused == ["Stopped before the fine-tune had begun."]
    else:
        thread.join(60)
        assert "is not the first host's in model.safetensors" in refused[0]


class StopsAtBytes(Reporter):
    """Keeps how far the comparison of the model is said to be, and stops it there."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float | None]] = []
        self.stop = threading.Event()

    def progress(self, progress: Progress) -> None:
        if progress.phase == "checking" and progress.total:
            self.seen.append((progress.done, progress.total))
            self.stop.set()


def test_comparing_the_model_shows_how_far_it_is_and_can_be_stopped(reception: Reception, tiny: Path) -> None:
    told = StopsAtBytes()
    output_dir = reception.folder.parent.parent

    assert refusals(output_dir, reception.address, OneModel(tiny, tiny), Work(told, told.stop)) == ["Stopped."]
    assert len(told.seen) == 1
    assert 0 < told.seen[0][0] < (told.seen[0][1] or 0)


def test_the_digests_of_a_model_are_made_with_a_count_of_bytes(
    reception: Reception, fields: dict[str, Any], tiny: Path
) -> None:
    seen: list[tuple[int, int]] = []
    model_digests(tiny, lambda *count: seen.append(count))

    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] >= (tiny / "model.safetensors").stat().st_size
    answer(come(reception), fields)
    assert reception.digested is None


def refusals(output_dir: Path, address: tuple[str, int], models: OneModel, work: Work) -> list[str]:
    try:
        join(output_dir, address, models, work)
    except Qwen3ftError as error:
        return [str(error)]
    return []


def test_another_file_of_data_is_named(reception: Reception, fields: dict[str, Any]) -> None:
    told = answer(come(reception), fields, digests={fields["data"]: "another"})

    assert "is another file there" in str(told)


def test_other_versions_are_named(reception: Reception) -> None:
    here = HostFacts.here()
    told = come(reception, replace(here, versions={**here.versions, "torch": "1.0"})).hear()

    assert "{name} {there} there, {here} here" in str(told)


def test_nobody_comes_in_without_the_key_and_nobody_blocks_the_door(reception: Reception) -> None:
    silent = [socket.create_connection(reception.address) for _ in range(3)]
    with pytest.raises(AuthenticationError):
        connect(reception.address, b"another key")
    line = come(reception)

    assert "probe" in line.hear()
    with contextlib.suppress(AuthenticationError):
        connect(reception.address, b"another key")
    assert until(reception.new_strangers) == ["127.0.0.1"]
    assert not reception.new_strangers()
    for one in silent:
        one.close()


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "[::]"])  # noqa: S104 - nobody comes
def test_who_listens_everywhere_tells_others_an_address_that_is_its_own(
    everywhere: str, fields: dict[str, Any], tiny: Path
) -> None:
    config = FineTuneConfig.from_dict({**fields, "hosts": 2, "hosts_address": f"{everywhere}:{free_port()}"})
    with contextlib.ExitStack() as stack:
        found = Reception(config, Start(tiny), stack)
        stack.callback(found.door.close)

    assert found.address[0] == own_address()
    assert everywhere not in found.join_command


def test_the_key_is_for_one_user_and_goes_with_the_run(reception: Reception) -> None:
    assert reception.keeps_rights
    assert read_key(reception.folder) == reception.key
    assert reception.key.hex() not in reception.join_command


def test_what_somebody_put_beside_the_key_stays(fields: dict[str, Any], tiny: Path) -> None:
    with contextlib.ExitStack() as stack:
        folder = Reception(FineTuneConfig.from_dict({**fields, "hosts": 2}), Start(tiny), stack).folder
        (folder / "notes.txt").write_text("mine", "utf-8")
        (folder / "probe-ab-first").write_text("", "utf-8")

    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_nothing_is_left_of_the_key(fields: dict[str, Any], tiny: Path) -> None:
    with contextlib.ExitStack() as stack:
        folder = Reception(FineTuneConfig.from_dict({**fields, "hosts": 2}), Start(tiny), stack).folder

    assert not folder.exists()


@pytest.mark.parametrize(
    ("host", "said"),
    [("no-such-host.invalid", "No|Name|Temporary"), ("127.0.0.1", "Connection refused")],  # glibc's words, in part
)
def test_who_is_not_let_in_is_told_why(host: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "JOIN_S", -1.0)
    (told,) = refusals(tmp_path, (host, free_port()), OneModel(tmp_path, tmp_path), Work())

    assert re.search(rf"The first host, {host}:\d+, does not answer: .*({said})", told)


def hang_up(server: socket.socket) -> None:
    with server.accept()[0]:
        return


def test_what_listens_and_is_no_fine_tune_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "JOIN_S", -1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=hang_up, args=(server,), daemon=True)
        answering.start()
        (told,) = refusals(tmp_path, server.getsockname(), OneModel(tmp_path, tmp_path), Work())
        answering.join(30)

    assert "what listens there is no fine-tune, or has hung up" in told or "Connection reset" in told


def test_a_port_that_is_taken_is_told_in_the_systems_words_alone(fields: dict[str, Any], tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        config = FineTuneConfig.from_dict({**fields, "hosts": 2, "hosts_address": address})
        with pytest.raises(JobFailed, match=rf"nothing can listen on {address}: Address already in use\."):
            Reception(config, Start(tiny), stack)


def test_a_name_that_nobody_can_look_up_is_known_before_others_wait(fields: dict[str, Any], tiny: Path) -> None:
    config = FineTuneConfig.from_dict({**fields, "hosts": 2, "hosts_address": "no-such-host.invalid"})
    with contextlib.ExitStack() as stack:
        found = Reception(config, Start(tiny), stack)
        stack.callback(found.door.close)
        assert found.unknown_because


def test_a_name_that_can_be_looked_up_needs_no_warning(reception: Reception) -> None:
    assert not reception.unknown_because
