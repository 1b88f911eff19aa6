from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others import places
from qwen3ft_jupyter.cache.others.evict import evict_copy
from qwen3ft_jupyter.cache.others.places import Place, known_places
from qwen3ft_jupyter.cache.others.scan import scan
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.errors import CacheError, NotCached
from tests.cache.making import make_cached, make_plain, safetensors
from tests.cache.other_caches import (
    COMMIT,
    FILES,
    LAYOUTS,
    REPO,
    WEIGHTS,
    blob_of,
    make_folder,
    make_hugging_face,
    make_modelscope,
    make_older_modelscope,
    place_of,
    run_clients,
    settle,
    state_of,
)
from tests.lived import CpuTime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.cache.models import CachedModel

SIZE = sum(map(len, FILES.values()))
SHARDS = {f"model-0000{number}-of-00002.safetensors": safetensors(b"weights" * number) for number in (1, 2)}
WHOLE = {"config.json": b"{}", "tokenizer.json": b"{}"}
"""What a model has beside its weights."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("real")
    return folder, run_clients(folder)


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Temporary folders of different tests may have the same name."""
    yield
    places._remembered.clear()


def found(*places: Place) -> list[tuple[str, str, str]]:
    return [(model.repo_id, model.owner, model.slug) for model in scan(places)]


def only(place: Place) -> CachedModel:
    (model,) = scan([place])
    return model


# Places


def test_what_the_clients_themselves_made_is_listed(real: tuple[Path, dict[str, str]]) -> None:
    folder, environ = real

    models = scan(known_places(environ))

    assert {(model.repo_id, model.owner, model.size_bytes, model.revision) for model in models} == {
        (REPO, "huggingface", SIZE, "main"),
        (REPO, "modelscope", SIZE, "master"),
    }
    for model in models:
        assert model.folder.is_relative_to(folder)
        assert {path: (model.folder / path).read_bytes() for path in FILES} == FILES
        assert (model.is_verified, model.is_shared, model.is_others, model.hub) == (False, False, True, None)
        assert model.to_dict()["owner"] == model.owner
        assert (len(model.commit) == 40) == (model.owner == "huggingface")


def test_folders_that_the_clients_were_told_to_fill_are_listed_when_named(real: tuple[Path, dict[str, str]]) -> None:
    folder, _ = real
    make_plain(folder / "named" / "Qwen--Qwen3-0.6B", {})
    for name in ("huggingface_hub", "modelscope"):
        target = folder / "named" / name / "Qwen3-0.6B"
        if not target.exists():
            target.parent.mkdir(parents=True)
            (folder / name).rename(target)

    models = scan(known_places({"HOME": str(folder / "nobody")}, [folder / "named"]))

    assert [(model.repo_id, model.owner, model.size_bytes) for model in models] == [
        (REPO, "folder", SIZE - len(FILES["sub/notes.md"]))
    ] * 2


def test_places_follow_the_clients_own_variables(tmp_path: Path) -> None:
    names = (
        "hub_cache",
        "legacy",
        "older",
        "hf/hub",
        "xdg/huggingface/hub",
        "ms",
        "old",
        "home/.cache/modelscope",
        "mine",
    )
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    environ = {
        "HOME": str(tmp_path / "home"),
        "BASE": str(tmp_path),
        "HF_HUB_CACHE": "$BASE/hub_cache",
        "HUGGINGFACE_HUB_CACHE": "~/../legacy",
        "TRANSFORMERS_CACHE": str(tmp_path / "older"),
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_CACHE_HOME": str(tmp_path / "xdg"),
        "MODELSCOPE_CACHE": str(tmp_path / "ms"),
        "MS_CACHE_HOME": str(tmp_path / "old"),
    }

    places = known_places(environ, [tmp_path / "mine", tmp_path / "nothing"])

    assert [(place.owner, place.root) for place in places] == [
        *(("huggingface", tmp_path / name) for name in names[:5]),
        *(("modelscope", tmp_path / name) for name in names[5:8]),
        ("folder", tmp_path / "mine"),
    ]


def test_a_named_folder_that_is_a_client_s_cache_is_read_as_one(tmp_path: Path) -> None:
    make_hugging_face(tmp_path / "nas" / "hub")
    make_older_modelscope(tmp_path / "team")
    (tmp_path / "team" / ".lock").mkdir()

    places = known_places({"HOME": str(tmp_path / "home")}, [tmp_path / "nas", tmp_path / "team"])

    assert [(model.repo_id, model.owner) for model in scan(places)] == [(REPO, "huggingface"), (REPO, "modelscope")]


def test_a_home_with_nothing_costs_nearly_nothing(tmp_path: Path) -> None:
    with CpuTime() as spent:
        assert scan(known_places({"HOME": str(tmp_path)})) == []

    assert spent.seconds < 0.1  # on an idle machine 0.2 ms


# Layouts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_listed_with_its_owner(tmp_path: Path, layout: str) -> None:
    folder = LAYOUTS[layout][1](tmp_path, FILES)

    model = only(place_of(layout, tmp_path))

    assert (model.repo_id, model.owner, model.folder) == (REPO, LAYOUTS[layout][0], folder)
    assert model.slug == f"{LAYOUTS[layout][0]}:Qwen_Qwen3-0.6B"
    assert model.size_bytes in {SIZE, SIZE - len(FILES["sub/notes.md"])}


def test_a_snapshot_of_files_instead_of_symlinks_is_listed(tmp_path: Path) -> None:
    make_plain(tmp_path / f"models--Qwen--Qwen3-0.6B/snapshots/{COMMIT}", FILES)

    model = only(Place("huggingface", tmp_path))

    assert (model.size_bytes, model.commit, model.revision) == (SIZE, COMMIT, COMMIT)


def test_blobs_shared_between_repos_are_followed(tmp_path: Path) -> None:
    """Since 1.32 a repo's blob may itself be a symlink into a store of the whole cache."""
    snapshot = make_hugging_face(tmp_path)
    blob = snapshot.parent.parent / "blobs" / blob_of(WEIGHTS)
    (tmp_path / "blobs" / "ab").mkdir(parents=True)
    blob.rename(tmp_path / "blobs" / "ab" / "xet")
    blob.symlink_to("../../blobs/ab/xet")

    assert only(Place("huggingface", tmp_path)).size_bytes == SIZE


@pytest.mark.parametrize(
    ("name", "repo_id"),
    [
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B"),
        ("deep/er/Qwen3-4B", "Qwen/Qwen3-4B"),
        ("Qwen3-4B", "Qwen/Qwen3-4B"),
        ("someone--Their-Model", "someone/Their-Model"),
        ("someone_Their-Model", "someone/Their-Model"),
        ("someone/Their_Model", "someone/Their_Model"),
    ],
)
def test_the_name_of_a_plain_folder_tells_the_repo(tmp_path: Path, name: str, repo_id: str) -> None:
    make_plain(tmp_path / name, FILES)

    assert found(Place("folder", tmp_path)) == [(repo_id, "folder", f"folder:{repo_id.replace('/', '_')}")]


@pytest.mark.parametrize("name", ["My-Model", "a/b/c/Qwen3-4B", ".hidden/Qwen3-4B", "a b/c d"])
def test_folders_that_tell_no_repo_lie_too_deep_or_are_hidden_are_not_listed(tmp_path: Path, name: str) -> None:
    make_plain(tmp_path / name, FILES)

    assert found(Place("folder", tmp_path)) == []


def test_a_cache_of_ours_somewhere_else_is_listed_by_its_manifests(tmp_path: Path) -> None:
    make_cached(tmp_path / "old cache", "someone/Model", name="renamed")

    assert found(Place("folder", tmp_path)) == [("someone/Model", "folder", "folder:someone_Model")]


def test_our_own_cache_is_not_looked_into(tmp_path: Path) -> None:
    make_cached(tmp_path / "cache", REPO)
    place = Place("folder", tmp_path)

    assert len(scan([place])) == 1
    assert scan([place], exclude=[tmp_path / "cache"]) == []
    assert scan([Place("folder", tmp_path / "cache")], exclude=[tmp_path / "cache"]) == []


def test_two_revisions_and_two_folders_of_one_repo_have_different_slugs(tmp_path: Path) -> None:
    make_hugging_face(tmp_path / "hf")
    make_hugging_face(tmp_path / "hf", {**FILES, "config.json": b"{}"}, commit="f" * 40, branch="v2")
    make_modelscope(tmp_path / "ms")
    make_older_modelscope(tmp_path / "ms")
    make_folder(tmp_path / "some" / "a")
    make_folder(tmp_path / "some" / "b")

    places = [Place("huggingface", tmp_path / "hf"), Place("modelscope", tmp_path / "ms")]
    slugs = [model.slug for model in scan([*places, Place("folder", tmp_path / "some")])]

    assert {"huggingface:Qwen_Qwen3-0.6B@12345678", "huggingface:Qwen_Qwen3-0.6B@ffffffff"} < set(slugs)
    assert "modelscope:Qwen_Qwen3-0.6B@master" in slugs
    assert len(set(slugs)) == len(slugs) == 6


# What is whole


@pytest.mark.parametrize(
    "files",
    [
        WHOLE,
        {"model.safetensors": WEIGHTS, "tokenizer.json": b"{}"},
        {"config.json": b"{}", "model.safetensors": WEIGHTS},
        {**WHOLE, "pytorch_model.bin": b"pickle"},
        {**WHOLE, **dict([next(iter(SHARDS.items()))])},
        {**WHOLE, **SHARDS},
        {**WHOLE, **SHARDS, "model.safetensors.index.json": b'{"weight_map": {"a": "other.safetensors"}}'},
        {**WHOLE, **SHARDS, "model.safetensors.index.json": b"[]"},
        {**WHOLE, **SHARDS, "model.safetensors.index.json": b"[" * 100_000},
        {**WHOLE, "model.safetensors.incomplete": b"weights"},
        {**WHOLE, "model.safetensors": b""},
        {**WHOLE, "model.safetensors": WEIGHTS[:-1]},
        {**WHOLE, "config.json": b"", "model.safetensors": WEIGHTS},
        {**WHOLE, "tokenizer.json": b'{"a', "model.safetensors": WEIGHTS},
    ],
)
@pytest.mark.parametrize("layout", ["huggingface", "modelscope", "folder"])
def test_half_a_model_is_not_listed(tmp_path: Path, layout: str, files: dict[str, bytes]) -> None:
    LAYOUTS[layout][1](tmp_path, files)

    assert found(place_of(layout, tmp_path)) == []


def test_a_model_of_several_files_is_listed(tmp_path: Path) -> None:
    index = b'{"weight_map": {"w": "model-00001-of-00002.safetensors"}}'
    make_modelscope(tmp_path, {**WHOLE, **SHARDS, "model.safetensors.index.json": index})

    assert len(found(Place("modelscope", tmp_path))) == 1


# Safety


def test_nothing_of_another_tool_is_written_by_looking(tmp_path: Path) -> None:
    for make in (make_hugging_face, make_modelscope, make_older_modelscope, make_folder):
        make(tmp_path)
    before = state_of(tmp_path)

    places = [Place("huggingface", tmp_path), Place("modelscope", tmp_path), Place("folder", tmp_path)]
    assert len(scan(places)) >= 3

    assert state_of(tmp_path) == before


def test_a_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_older_modelscope(tmp_path)
    opened: list[str] = []
    really_open = os.open

    def note(path: str, *rest: int) -> int:
        opened.append(str(path))
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", note)

    assert len(found(Place("modelscope", tmp_path))) == 1
    assert not [path for path in opened if Path(path).name in {".msc", ".mdl"}]


def test_a_symlink_that_leaves_the_cache_is_no_file_of_a_model(tmp_path: Path) -> None:
    snapshot = make_hugging_face(tmp_path / "hf")
    secret = make_plain(tmp_path / "elsewhere", {"model.safetensors": WEIGHTS}) / "model.safetensors"
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(secret)

    assert found(Place("huggingface", tmp_path / "hf")) == []


@pytest.mark.parametrize("layout", ["modelscope", "folder"])
def test_a_model_folder_that_is_a_symlink_is_not_listed(tmp_path: Path, layout: str) -> None:
    folder = LAYOUTS[layout][1](tmp_path / "cache", FILES)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")

    assert found(place_of(layout, tmp_path / "cache")) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "model.safetensors.index.json"])
def test_a_pipe_is_no_file_of_a_model_and_nobody_waits_at_it(tmp_path: Path, name: str) -> None:
    folder = make_modelscope(tmp_path)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)

    listed = found(Place("modelscope", tmp_path))

    assert (len(listed) == 1) == (name == "model.safetensors.index.json")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_a_third_user_is_no_file_of_a_model(tmp_path: Path) -> None:
    folder = make_modelscope(tmp_path)
    os.chown(folder / "model.safetensors", 12345, 12345)
    assert found(Place("modelscope", tmp_path)) == []

    os.chown(tmp_path, 12345, 12345)  # a colleague's cache that the user named

    assert len(found(Place("modelscope", tmp_path))) == 1


# Remembering


def test_a_second_look_lists_no_folder_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        make_hugging_face(tmp_path, repo=f"Qwen/Model-{number}")
    settle(tmp_path)
    place = Place("huggingface", tmp_path)
    before = scan([place])

    def refuse(path: str) -> None:
        raise AssertionError(f"{path} is listed again")

    monkeypatch.setattr(os, "scandir", refuse)

    assert scan([place]) == before
    assert len(before) == 20


def test_what_changed_is_looked_at_again(tmp_path: Path) -> None:
    snapshot = make_hugging_face(tmp_path)
    settle(tmp_path)
    place = Place("huggingface", tmp_path)
    assert len(found(place)) == 1

    make_hugging_face(tmp_path, repo="Qwen/Other")
    assert len(found(place)) == 2

    settle(tmp_path)
    assert len(found(place)) == 2
    (snapshot.parent.parent / "blobs" / blob_of(WEIGHTS)).unlink()
    assert [name for name, *_ in found(place)] == ["Qwen/Other"]


def test_a_change_within_the_same_tick_is_seen(tmp_path: Path) -> None:
    """Clocks of file systems tick in milliseconds: an equal time of change means nothing while it is young."""
    place = Place("modelscope", tmp_path)
    folder = make_modelscope(tmp_path)
    status = folder.stat()
    assert len(found(place)) == 1

    (folder / "model.safetensors").unlink()
    os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert found(place) == []


# Deleting


def test_a_revision_goes_with_the_blobs_that_only_it_needs(tmp_path: Path) -> None:
    kept = make_hugging_face(tmp_path)
    gone = make_hugging_face(tmp_path, {**FILES, "config.json": b"{}"}, commit="f" * 40, branch="v2")
    make_hugging_face(tmp_path, repo="Qwen/Other")
    place = Place("huggingface", tmp_path)
    repo = gone.parent.parent
    make_plain(repo / "blobs", {f"{'e' * 64}.incomplete": b"begun"})
    before = set(state_of(tmp_path))
    (model,) = [model for model in scan([place]) if model.commit == "f" * 40]

    freed = evict_copy(model, [place]).freed_bytes

    removed = {Path(path).relative_to(repo).as_posix() for path in before - set(state_of(tmp_path))}
    snapshot = f"snapshots/{'f' * 40}"
    assert removed == {
        snapshot,
        f"{snapshot}/sub",
        *(f"{snapshot}/{path}" for path in FILES),
        f"blobs/{blob_of(b'{}')}",
        "refs/v2",
    }
    assert freed == len(b"{}")
    assert {path: (kept / path).read_bytes() for path in FILES} == FILES
    assert [model.commit for model in scan([place])] == [COMMIT, COMMIT]


def test_the_last_revision_leaves_no_trace(tmp_path: Path) -> None:
    make_hugging_face(tmp_path)
    place = Place("huggingface", tmp_path)

    freed = evict_copy(only(place), [place]).freed_bytes

    assert freed == SIZE
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_is_sound_to_hugging_face_s_own_eyes(tmp_path: Path) -> None:
    environ = run_clients(tmp_path)
    hub = tmp_path / "hf" / "hub"
    make_hugging_face(hub, repo="Qwen/Other")
    place = Place("huggingface", hub)
    (model,) = [model for model in scan([place]) if model.repo_id == REPO]

    evict_copy(model, [place])

    code = "import huggingface_hub as h; i = h.scan_cache_dir(); print(len(i.warnings), *(r.repo_id for r in i.repos))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "Qwen/Other"], done.stderr


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout.startswith("modelscope")])
def test_a_modelscope_folder_goes_with_its_symlink_and_nothing_else(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout][1](tmp_path, FILES)
    other = make_plain(tmp_path / "someone" / "Other", FILES)
    place = place_of(layout, tmp_path)
    (model,) = [model for model in scan([place]) if model.repo_id == REPO]

    freed = evict_copy(model, [place], FILES.keys()).freed_bytes

    assert freed >= SIZE
    assert not any("Qwen" in path for path in state_of(tmp_path))
    assert {path: (other / path).read_bytes() for path in FILES} == FILES


def test_of_a_folder_only_the_files_of_a_model_go(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    make_plain(folder, {"train.py": b"mine", "checkpoint-5/adapter_model.safetensors": b"mine", "notes.txt": b"mine"})
    place = Place("folder", tmp_path)

    evicted = evict_copy(only(place), [place])

    assert evicted.left == ("checkpoint-5", "notes.txt", "sub", "train.py")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "train.py",
        "checkpoint-5/adapter_model.safetensors",
        "notes.txt",
        "sub/notes.md",
    }


THEIRS = {"checkpoint-5/adapter_model.safetensors": b"mine", "notes.txt": b"mine", "sub/mine.json": b"mine"}


@pytest.mark.parametrize("is_recorded", [True, False])
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "folder"])
def test_what_somebody_put_into_another_tools_model_stays_and_is_named(
    tmp_path: Path, *, layout: str, is_recorded: bool
) -> None:
    """Without a record what models have by their name is the model's, but for what only symlinks lead to."""
    folder = LAYOUTS[layout][1](tmp_path, FILES)
    make_plain(folder, THEIRS)
    place = place_of(layout, tmp_path)

    evicted = evict_copy(only(place), [place], FILES.keys() if is_recorded else None)

    stays = {**THEIRS, **({} if is_recorded or layout == "huggingface" else {"sub/notes.md": FILES["sub/notes.md"]})}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(stays)
    assert {path: (folder / path).read_bytes() for path in stays} == stays
    assert evicted.left == ("checkpoint-5", "notes.txt", "sub")
    assert "checkpoint-5, notes.txt, sub" in evicted.left_words


def plant_blobs(folder: Path, outside: Path) -> None:
    blobs = folder.parent.parent / "blobs"
    blobs.rename(outside / "blobs")
    blobs.symlink_to(outside / "blobs")


def plant_link_out(folder: Path, outside: Path) -> None:
    (folder / "extra.json").symlink_to(outside / "precious.txt")


def plant_folder(folder: Path, outside: Path) -> None:
    (folder / "extra").symlink_to(outside)


@pytest.mark.skipif(os.name == "nt", reason="symlinks need a privilege on Windows")
@pytest.mark.parametrize("plant", [plant_link_out, plant_folder])
@pytest.mark.parametrize("layout", ["huggingface", "modelscope", "modelscope-1.37"])
def test_a_folder_with_a_planted_symlink_is_not_deleted(tmp_path: Path, layout: str, plant: object) -> None:
    outside = make_plain(tmp_path / "outside", {"precious.txt": b"precious"})
    folder = LAYOUTS[layout][1](tmp_path / "cache", FILES)
    place = place_of(layout, tmp_path / "cache")
    assert callable(plant)
    plant(folder, outside)
    model = only(place)
    before = state_of(tmp_path)

    with pytest.raises(CacheError, match="do not belong there"):
        evict_copy(model, [place])

    assert state_of(tmp_path) == before


def test_blobs_behind_a_symlink_are_not_deleted(tmp_path: Path) -> None:
    folder = make_hugging_face(tmp_path / "cache" / "hub")
    place = Place("huggingface", tmp_path / "cache" / "hub")
    model = only(place)
    (tmp_path / "cache" / "hub" / "inside").mkdir()
    plant_blobs(folder, tmp_path / "cache" / "hub" / "inside")
    before = state_of(tmp_path)

    with pytest.raises(CacheError, match="do not belong there"):
        evict_copy(model, [place])

    assert state_of(tmp_path) == before


def test_only_what_is_listed_in_a_place_is_deleted(tmp_path: Path) -> None:
    make_modelscope(tmp_path / "cache")
    other = make_modelscope(tmp_path / "other")
    place = Place("modelscope", tmp_path / "cache")
    model = only(place)

    for folder in (other, tmp_path / "cache", tmp_path / "cache" / "models", Path("/")):
        with pytest.raises(NotCached):
            evict_copy(replace(model, folder=folder), [place])

    assert (other / "config.json").is_file()
    assert len(scan([place])) == 1


@pytest.mark.parametrize("below", ["hub", ""])
def test_hugging_face_s_models_are_listed_even_if_our_cache_is_the_same_folder(tmp_path: Path, below: str) -> None:
    make_hugging_face(tmp_path / "hf" / "hub")
    cache = ModelCache(tmp_path / "hf" / below, places=[Place("huggingface", tmp_path / "hf" / "hub")])
    make_cached(cache.root, "me/mine")
    before = state_of(tmp_path / "hf" / "hub" / "models--Qwen--Qwen3-0.6B")

    assert [(model.repo_id, model.owner) for model in cache.list()] == [("me/mine", "qwen3ft"), (REPO, "huggingface")]
    cache.evict_all()

    assert [model.owner for model in cache.list()] == ["huggingface"]
    assert state_of(tmp_path / "hf" / "hub" / "models--Qwen--Qwen3-0.6B") == before
