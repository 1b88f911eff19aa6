"""What is not used for safety, or cannot be read, is said aloud; what is safe is used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others import places
from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.cache.unseen import unseen, unseen_clients, unseen_folders
from qwen3ft_jupyter.errors import CacheError
from qwen3ft_jupyter.hubs.names import RepoId
from tests.cache.making import make_cached
from tests.cache.other_caches import REPO, make_hugging_face, make_modelscope
from tests.faults.downloads import FILES, NAME, WEIGHTS, Child, complete, contents, ensure
from tests.played_paths import ANSWERS, answering
from tests.transfer.origin import REPO as ORIGINS
from tests.transfer.origin import Origin, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

POSIX = pytest.mark.skipif(os.name == "nt", reason="symlinks and owners of POSIX")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
SOMEBODY, NOBODY = 12345, 65534


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Temporary folders of different tests may have the same name."""
    yield
    places._remembered.clear()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


def told(cache: ModelCache, origin: Origin) -> str:
    """Download a model and return what was said of it."""
    recorder = Recorder()
    ensured = ensure(cache, origin, reporter=recorder)
    assert contents(ensured.model.folder) == FILES
    return "\n".join(map(str, recorder.notices))


@pytest.mark.parametrize("number", ANSWERS.values(), ids=list(ANSWERS))
def test_our_own_folder_is_an_error_whatever_is_asked(tmp_path: Path, number: int) -> None:
    cache = ModelCache(tmp_path / "cache")
    make_cached(cache.root, REPO)

    with answering(cache.root, number):
        for ask in (cache.list, cache.own, lambda: cache.find(REPO), lambda: cache.by_slug("x")):
            with pytest.raises(CacheError, match="MODEL_CACHE_DIR, cannot be looked into") as caught:
                ask()

            assert str(tmp_path) not in str(caught.value)  # a browser may show it
            assert caught.value.details == {"folder": str(cache.root)}
        assert unseen(cache)[0].startswith("The cache folder, MODEL_CACHE_DIR")


def test_a_model_that_is_here_needs_no_other_folder(tmp_path: Path, origin: Origin) -> None:
    """Nor is anything said of one then."""
    complete(tmp_path / "cache", origin)
    cache = ModelCache(tmp_path / "cache", [tmp_path / "nowhere"])
    recorder = Recorder()

    assert ensure(cache, origin, reporter=recorder).was_cached
    assert recorder.notices == []


def test_a_folder_of_a_setting_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    (line,) = unseen_folders("MODEL_CACHE_SHARED_DIRS", [tmp_path, tmp_path / "typo"])

    assert line.startswith("MODEL_CACHE_SHARED_DIRS: typo cannot be looked into (No such file or directory)")
    assert str(tmp_path) not in line


@pytest.mark.skipif(os.pathsep == ";", reason="a semicolon separates here")
def test_folders_with_a_semicolon_between_them_are_told_what_separates_here(tmp_path: Path) -> None:
    (tmp_path / "there;").mkdir()

    lines = list(unseen_folders("MODEL_CACHE_SHARED_DIRS", [tmp_path / "there;", Path(f"{tmp_path}/a;/b")]))

    assert len(lines) == 2
    assert "a colon stands between two folders" in lines[1]


def test_the_folder_of_a_client_that_is_not_there_is_none_that_cannot_be_seen(tmp_path: Path) -> None:
    assert list(unseen_clients({"HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "none")})) == []


@POSIX
def test_one_folder_is_said_once_whatever_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "hub").symlink_to("hub")

    lines = list(unseen_clients({"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HOME": "/nobody"}))

    assert [line.partition(":")[0] for line in lines] == ["HF_HUB_CACHE"]


@POSIX
@pytest.mark.parametrize("where", ["cache", "shared"])
def test_a_link_to_a_model_is_not_followed_and_the_hint_helps(tmp_path: Path, origin: Origin, where: str) -> None:
    complete(tmp_path / "elsewhere", origin)
    (tmp_path / where).mkdir()
    (tmp_path / where / NAME).symlink_to(tmp_path / "elsewhere" / NAME)

    said = told(ModelCache(tmp_path / "cache", [tmp_path / "shared"]), origin)

    variable = {"cache": "MODEL_CACHE_DIR", "shared": "MODEL_CACHE_SHARED_DIRS"}[where]
    assert f"{NAME} in {variable} is a link, which is not followed." in said
    assert "add the folder that holds it to MODEL_CACHE_SHARED_DIRS" in said
    assert ModelCache(tmp_path / "new", [tmp_path / "elsewhere"]).find(ORIGINS) is not None


@POSIX
@pytest.mark.parametrize("name", [NAME, f"{NAME}/.qwen3ft", f"{NAME}/.qwen3ft/manifest.json/x"])
def test_what_lies_where_the_cache_has_something_else_is_to_be_moved_away(tmp_path: Path, name: str) -> None:
    """Permissions are not what is wrong with a file in the place of a folder, or a folder in that of a file."""
    in_the_way = tmp_path / "cache" / name
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"mine")

    (line,) = unseen(ModelCache(tmp_path / "cache"), ORIGINS)

    assert line.startswith(f"{NAME} in MODEL_CACHE_DIR is not as the cache makes it (")
    assert line.endswith("Move it away.")


@POSIX
@pytest.mark.parametrize("make", [make_hugging_face, make_modelscope], ids=["huggingface", "modelscope"])
def test_a_link_out_of_another_tools_cache_is_said(tmp_path: Path, make: object) -> None:
    owner = "huggingface" if make is make_hugging_face else "modelscope"
    name = f"models--{REPO.replace('/', '--')}" if owner == "huggingface" else f"models/{REPO}"
    (tmp_path / "theirs" / name).parent.mkdir(parents=True)
    (tmp_path / "disk").mkdir()
    (tmp_path / "theirs" / name).symlink_to(tmp_path / "disk")
    cache = ModelCache(tmp_path / "cache", places=[Place(owner, tmp_path / "theirs")])  # type: ignore[arg-type]

    (line,) = unseen(cache, RepoId(REPO))

    assert "is a link that leads out of it, which is not followed" in line
    assert "MODEL_CACHE_OTHER_DIRS" in line


@POSIX
def test_a_link_within_another_tools_cache_is_followed_and_nothing_is_said(tmp_path: Path) -> None:
    """ModelScope's client made one for each name with a dot."""
    real = tmp_path / "models" / REPO.replace(".", "___")
    real.mkdir(parents=True)
    (tmp_path / "models" / REPO).symlink_to(real)

    assert unseen(ModelCache(tmp_path / "cache", places=[Place("modelscope", tmp_path)]), RepoId(REPO)) == []


@ROOT
def test_a_shared_model_that_may_not_be_read_is_said_and_downloaded(tmp_path: Path, origin: Origin) -> None:
    shared = tmp_path / "shared"
    complete(shared, origin)
    (shared / NAME).chmod(0o700)
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o711)
    (tmp_path / "mine").mkdir()
    os.chown(tmp_path / "mine", NOBODY, NOBODY)

    child = Child(origin, tmp_path / "mine" / "cache", uid=NOBODY, shared=str(shared))
    said = [line["notice"] for line in child.lines() if "notice" in line]
    child.end()

    assert contents(tmp_path / "mine" / "cache" / NAME) == FILES
    assert any(f"{NAME} in MODEL_CACHE_SHARED_DIRS cannot be read (Permission denied)" in line for line in said)
    assert any("chmod -R a+rX" in line for line in said)


@ROOT
def test_files_of_a_third_user_are_copied_from_for_their_bytes_are_compared(tmp_path: Path, origin: Origin) -> None:
    """A team's cache, into which several people download."""
    theirs = tmp_path / "team" / "models" / ORIGINS
    shutil.copytree(complete(tmp_path / "other", origin).model.folder, theirs)
    shutil.rmtree(theirs / ".qwen3ft")
    os.chown(theirs / WEIGHTS, SOMEBODY, SOMEBODY)
    before = origin.bytes_asked(WEIGHTS)
    cache = ModelCache(tmp_path / "cache", places=[Place("modelscope", tmp_path / "team")])

    assert "from the ModelScope cache" in told(cache, origin)
    assert origin.bytes_asked(WEIGHTS) == before
    assert not cache.find(ORIGINS).is_others  # type: ignore[union-attr]
