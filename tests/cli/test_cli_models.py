"""What a terminal tells of one model, and of newer commits of cached ones: asked of real servers on loopback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter import cli
from qwen3ft_jupyter.mirror.mirror import Mirror
from qwen3ft_jupyter.practice.model import MODEL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO, OTHER = "org/small", "org/other"
NOBODY = "http://127.0.0.1:9"
CARD = "# Small\n\x1b[31mred"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN3FT_LANG", "en")
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("QWEN3FT_STATE_DIR", str(tmp_path / "state"))
    point_at(monkeypatch, NOBODY)
    return tmp_path


def point_at(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for variable in ("MODELSCOPE_ENDPOINT", "HF_ENDPOINT"):
        monkeypatch.setenv(variable, endpoint)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What the hub has of the models."""
    return shutil.copytree(MODEL_FOLDER, tmp_path / "source", ignore=shutil.ignore_patterns(".qwen3ft"))


@pytest.fixture
def hub(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with Mirror({REPO: source, OTHER: MODEL_FOLDER}) as mirror:
        point_at(monkeypatch, mirror.url)
        yield mirror


def change(source: Path, text: str) -> None:
    """Let the hub have another card."""
    (source / "README.md").unlink()
    (source / "README.md").write_text(text)


def test_details_of_a_model_on_a_hub_name_every_file_and_how_to_get_it(
    hub: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["details", REPO]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith(f"{REPO} · ModelScope · master · ")
    assert "Licence: apache-2.0" in lines
    assert f"It is not on this disk. Download it: qwen3ft download {REPO}" in lines
    digests = [line.split()[-1] for line in lines if line.startswith("config.json")]
    assert len(digests) == 1
    assert len(digests[0]) == len("sha256:") + 64


def test_details_of_a_cached_model_say_how_whole_it_is_and_how_fast_its_source_was(
    hub: Mirror, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["download", REPO]) == 0
    folder = Path(capsys.readouterr().out.splitlines()[-1])
    point_at(monkeypatch, NOBODY)
    assert cli.main(["details", REPO]) == 0
    whole = capsys.readouterr().out
    (folder / "config.json").unlink()
    assert cli.main(["details", REPO]) == 0
    damaged = capsys.readouterr().out

    assert f"verified · {folder}" in whole
    assert "ModelScope: " in whole
    assert "/s · 1.2 MB in " in whole
    here = next(line for line in damaged.splitlines() if line.startswith("On this disk"))
    assert "not verified" in here
    assert "config.json" in here


def test_details_without_a_network_tell_what_the_catalogue_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["details", "Qwen/Qwen3-0.6B", "--offline"]) == 0
    out = capsys.readouterr().out

    assert "For: quick experiments" in out
    assert "Its files are not known: no hub was asked." in out
    assert cli.main(["details", "Qwen/Qwen3-0.6B"]) == 1


def test_details_are_json_for_programs(hub: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["details", REPO, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert cli.main(["details", REPO, "--card", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)

    assert {file["path"] for file in told["files"]} >= {"config.json", "README.md"}
    assert (told["model_name"], told["license"], told["cached"], told["copies"]) == (REPO, "apache-2.0", False, [])
    assert told["about"]["catalogued"] is False
    assert (card["license"], card["hub"]) == ("apache-2.0", "modelscope")


def test_a_card_is_printed_as_text_that_has_no_power_over_a_terminal(
    hub: Mirror, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(source, CARD)
    assert cli.main(["details", REPO, "--card"]) == 0
    out, err = capsys.readouterr()

    assert out == "# Small\n\ufffd[31mred\n"
    assert err == "From ModelScope; written by the publisher of the model.\n"
    assert cli.main(["details", REPO, "--card", "--offline"]) == 0
    assert "no hub was asked" in capsys.readouterr().err


def test_updates_name_what_is_here_what_is_there_and_the_cure_which_works(
    hub: Mirror, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (REPO, OTHER):
        assert cli.main(["download", name]) == 0
    assert cli.main(["updates"]) == 0
    change(source, "# Newer")
    capsys.readouterr()

    assert cli.main(["updates"]) == 3
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split() for line in out.splitlines()[1:]}
    assert rows[REPO][1] == rows[OTHER][1] == "master"
    assert rows[REPO][3] not in (rows[REPO][2], "the")
    assert rows[REPO][4:6] == ["7", "B"]
    assert rows[OTHER][3:5] == ["the", "same"]
    assert err.splitlines() == [
        "Cached models: 2; with an update: 1",
        f"Update it: qwen3ft download {REPO} --update",
    ]
    assert cli.main(["updates", OTHER]) == 0
    assert cli.main(["download", REPO, "--update"]) == 0
    assert cli.main(["updates", REPO, OTHER]) == 0


def test_updates_are_json_for_programs_with_the_same_exit_code(
    hub: Mirror, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["updates", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert cli.main(["download", REPO]) == 0
    change(source, "# Newer")
    capsys.readouterr()

    assert cli.main(["updates", "--json"]) == 3
    [news] = json.loads(capsys.readouterr().out)
    assert (news["model_name"], news["has_update"], news["bytes_to_fetch"]) == (REPO, True, 7)
    assert news["latest"] != news["commit"]


def test_updates_fail_where_a_hub_does_not_say(
    hub: Mirror, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (REPO, OTHER):
        assert cli.main(["download", name]) == 0
    with Mirror({REPO: MODEL_FOLDER}) as other:
        point_at(monkeypatch, other.url)
        capsys.readouterr()
        assert cli.main(["updates"]) == 1
        out, err = capsys.readouterr()
    assert "not known" in next(line for line in out.splitlines() if line.startswith(OTHER))
    assert f"{OTHER}: " in err
    assert cli.main(["updates"]) == 1
    assert "hub-unreachable" in capsys.readouterr().err


def test_updates_of_what_is_not_here_name_the_cure(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["updates"]) == 0
    assert "No cached model follows a branch or tag of a hub." in capsys.readouterr().err
    assert cli.main(["updates", REPO]) == 1
    assert f"Download it: qwen3ft download {REPO}" in capsys.readouterr().err
