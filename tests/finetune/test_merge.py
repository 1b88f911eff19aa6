"""A merged model says what base and adapter say; what is not whole never looks whole; nobody else's files go."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import (
    BadInput,
    CacheDamaged,
    DoesNotFit,
    LoadError,
    NoSpace,
    Qwen3ftError,
    Stopped,
    UnsafeModel,
)
from qwen3ft_jupyter.faces.say import error
from qwen3ft_jupyter.finetune import selftest
from qwen3ft_jupyter.finetune.adapter import read_adapter
from qwen3ft_jupyter.finetune.merge import Base, MergePlan, Origin, find_merged, merge, plan_merge
from qwen3ft_jupyter.finetune.merged import RECORD, is_merged
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.loading.machine import Machine
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from qwen3ft_jupyter.work import Progress, Reporter, Work
from tests.finetune.adapters import BASE, make_adapter
from tests.loading.tiny_qwen3 import make_model
from tests.played_disks import BareDisk, FailingDisk, FullDisk, PlayedDisk

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [[3, 17, 40, 99, 5, 230, 61, 8]]


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the tiny model; tests must not change it."""
    return make_adapter(tiny, tmp_path_factory.mktemp("adapters") / "plain")


@pytest.fixture(scope="module")
def practice_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the practice model, which is in bfloat16 and in two shards."""
    return make_adapter(MODEL_FOLDER, tmp_path_factory.mktemp("adapters") / "practice")


@pytest.fixture
def untested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the comparison out, for what is about files alone."""
    test = selftest.SelfTest(1, "built-in", "float32", 0.0, 0.0, 1.0)
    monkeypatch.setattr(selftest, "compare", lambda *_: test)


def planned(model: Path, adapter: Path, target: Path, *, overwrite: bool = False, **base: Any) -> MergePlan:
    origin = Origin(adapter.name)
    return plan_merge(read_adapter(adapter), Base(model, BASE, **base), origin, target, overwrite=overwrite)


def logits(folder: Path, adapter: Path | None = None) -> Any:
    import torch

    model = load_model_and_tokenizer(folder, LoadOptions(device="cpu", dtype="float32", adapter=adapter)).model
    with torch.inference_mode():
        return model(input_ids=torch.tensor(TOKENS)).logits.clone()


def state(folder: Path) -> dict[str, str]:
    """Return the digest of each file, hidden ones included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# What comes out


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"trainable_token_indices": [2, 9]},
    ],
    ids=lambda fields: next(iter(fields), "lora"),
)
def test_a_merged_model_says_what_base_and_adapter_say(tmp_path: Path, fields: dict[str, Any], *, tied: bool) -> None:
    """In float32 to 1e-4, where the base is; the file that was saved, read by the libraries."""
    base = make_model(tmp_path / "base", tied=tied)
    adapter = make_adapter(base, tmp_path / "adapter", **fields)

    result = merge(planned(base, adapter, tmp_path / "merged"), Work())

    before, after = logits(base, adapter), logits(tmp_path / "merged")
    assert float((before - logits(base)).abs().max()) > 0.1  # the adapter does something
    assert float((before - after).abs().max()) <= 1e-4 * max(1.0, float(before.abs().max()))
    assert result.dtype == "float32"
    assert result.self_test["exact"] <= 1e-4


def test_in_16_bits_it_is_computed_in_float32_and_rounded_once(practice_adapter: Path, tmp_path: Path) -> None:
    """Every number is the nearest one to what peft merges in float32, and what is not adapted keeps its very bytes."""
    import torch
    from safetensors.torch import load_file

    result = merge(planned(MODEL_FOLDER, practice_adapter, tmp_path / "merged"), Work())

    options = LoadOptions(device="cpu", dtype="float32", adapter=practice_adapter)
    exact = dict(load_model_and_tokenizer(MODEL_FOLDER, options).model.merge_and_unload().named_parameters())
    adapted = 0
    for shard in sorted(MODEL_FOLDER.glob("*.safetensors")):
        old, new = load_file(shard), load_file(tmp_path / "merged" / shard.name)
        assert {name: one.dtype for name, one in old.items()} == {name: one.dtype for name, one in new.items()}
        for name, tensor in new.items():
            wanted = exact[name].detach()
            half_step = (
                wanted.abs() * 2**-8 + 1e-6
            )  # bfloat16 has 8 bits; the sums of two ways differ in the last place
            assert bool(((tensor.float() - wanted).abs() <= half_step).all()), name
            adapted += not torch.equal(tensor, old[name])
    assert adapted == result.changed == 14
    assert result.self_test["exact"] <= 1e-4
    assert result.self_test["rounded"] < 0.02


def test_the_folder_is_the_bases_but_for_weights_ends_and_card(practice_adapter: Path, tmp_path: Path) -> None:
    """So that whatever reads the base reads it: no version of transformers has left its own spelling in it."""
    merge(planned(MODEL_FOLDER, practice_adapter, tmp_path / "merged", commit="c" * 40), Work())

    base, merged = state(MODEL_FOLDER), state(tmp_path / "merged")
    assert {name for name in base if base[name] != merged[name]} <= {
        "README.md",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    }
    assert set(merged) - set(base) == {"merge.json"}
    record = json.loads((tmp_path / "merged/merge.json").read_text())
    assert record["base"] == {"repo_id": BASE, "commit": "c" * 40, "sha256": {}}
    weights = practice_adapter / "adapter_model.safetensors"
    assert record["adapter"]["adapter_model.safetensors"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert {name: one["sha256"] for name, one in record["files"].items()} == {
        name: digest for name, digest in merged.items() if name != "merge.json"
    }
    card = (tmp_path / "merged/README.md").read_text()
    assert f"base_model: {BASE}" in card
    assert "license: apache-2.0" in card
    assert str(tmp_path) not in card
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_an_answer_ends_at_the_end_of_the_turn_although_a_base_models_does_not(adapter: Path, tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    settings = {"eos_token_id": 0, "do_sample": True, "top_k": 20}
    (base / "generation_config.json").write_text(json.dumps(settings))

    merge(planned(base, adapter, tmp_path / "merged"), Work())

    assert json.loads((tmp_path / "merged/generation_config.json").read_text()) == {**settings, "eos_token_id": [2, 0]}


def test_a_second_copy_of_the_embedding_in_a_tied_base_stays_the_same(tiny: Path, tmp_path: Path) -> None:
    """As in the file of Qwen3-0.6B, with trained rows: programs that read the copy must find them, too."""
    from safetensors.torch import load_file, save_file

    base = shutil.copytree(tiny, tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    adapter = make_adapter(tiny, tmp_path / "adapter", trainable_token_indices=[2])

    merge(planned(base, adapter, tmp_path / "merged"), Work())

    merged = load_file(tmp_path / "merged/model.safetensors")
    assert not merged["model.embed_tokens.weight"].equal(tensors["model.embed_tokens.weight"])
    assert merged["model.embed_tokens.weight"].equal(merged["lm_head.weight"])


def test_the_run_says_phases_and_bytes(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    told: list[Progress] = []

    class Ear(Reporter):
        def progress(self, progress: Progress) -> None:
            told.append(progress)

    merge(planned(tiny, adapter, tmp_path / "merged"), Work(Ear()))

    assert list(dict.fromkeys(one.phase for one in told)) == ["merging", "comparing", "saving"]
    merging = [one for one in told if one.phase == "merging"]
    assert merging[-1].done == merging[-1].total == (tiny / "model.safetensors").stat().st_size


# What is not handed out


@pytest.mark.parametrize("fault", ["doubled", "lost"])
def test_a_model_that_does_not_say_the_same_is_not_handed_out(
    tiny: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """As if the arithmetic were wrong, here and in the comparison alike: what peft computes decides."""
    plan = planned(tiny, adapter, tmp_path / "merged")
    for change in plan.adapter.changes.values():
        change.scale *= 2 if fault == "doubled" else 0

    with pytest.raises(LoadError, match="logits differ"):
        merge(plan, Work())

    assert list(tmp_path.iterdir()) == []


def test_weights_that_were_written_wrong_are_not_handed_out(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    class FlippingDisk(PlayedDisk):
        def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
            is_weights = offset > 0
            super().write_at(descriptor, memoryview(bytes(reversed(data))) if is_weights else data, offset)

    with pytest.raises(LoadError):
        merge(planned(tiny, adapter, tmp_path / "merged"), Work(), disk=FlippingDisk())

    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_to_compare_is_told_before_anything_is_written(
    tiny: Path, adapter: Path, tmp_path: Path
) -> None:
    with pytest.raises(DoesNotFit, match="of memory"):
        merge(planned(tiny, adapter, tmp_path / "merged"), Work(), machine=Machine(200_010_000, 1 << 34))

    assert list(tmp_path.iterdir()) == []


def test_where_float32_does_not_fit_it_is_compared_in_16_bits(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    parameters = (tiny / "model.safetensors").stat().st_size // 4

    result = merge(
        planned(tiny, adapter, tmp_path / "merged"), Work(), machine=Machine(200_000_000 + 3 * parameters, 0)
    )

    assert (result.self_test["dtype"], result.self_test["exact"]) == ("bfloat16", None)


def test_a_changed_file_of_the_base_is_named(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(CacheDamaged, match=r"model\.safetensors of Qwen/Tiny-Qwen3 has changed"):
        merge(planned(tiny, adapter, tmp_path / "merged", digests={"model.safetensors": "0" * 64}), Work())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("untested")
def test_a_base_in_another_tools_cache_may_be_symlinks(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    for path in tiny.iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)

    merge(planned(tmp_path / "snapshot", adapter, tmp_path / "merged"), Work())

    assert is_merged(tmp_path / "merged")
    assert not [path for path in (tmp_path / "merged").iterdir() if path.is_symlink()]


@pytest.mark.usefixtures("untested")
def test_a_file_of_the_base_that_is_gone_is_named(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny, tmp_path / "base")
    plan = planned(base, adapter, tmp_path / "merged")
    (base / "model.safetensors").unlink()

    with pytest.raises((LoadError, CacheDamaged), match=r"model\.safetensors"):
        merge(plan, Work())

    assert [path.name for path in tmp_path.iterdir()] == ["base"]


# Adapters that are refused


def other_config(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"alpha_pattern": {"q_proj": 2}}, "alpha_pattern"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"something_new": True}, "something_new"),
        ({"lora_alpha": "16"}, "lora_alpha"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"auto_mapping": {"base_model_class": "os"}}, "auto_mapping"),
    ],
)
def test_an_adapter_of_a_form_that_is_not_known_is_refused_by_name(
    adapter: Path, tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    folder = shutil.copytree(adapter, tmp_path / "adapter")
    other_config(folder, **fields)

    with pytest.raises((LoadError, UnsafeModel), match=reason):
        read_adapter(folder)


def test_pickled_adapters_are_refused(adapter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(adapter, tmp_path / "adapter")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")

    with pytest.raises(UnsafeModel, match=r"adapter_model\.bin"):
        read_adapter(folder)


def test_an_adapter_of_another_model_is_refused(adapter: Path, tmp_path: Path) -> None:
    wider = make_model(tmp_path / "wider", hidden_size=64)

    with pytest.raises(LoadError, match="does not fit its base model"):
        planned(wider, adapter, tmp_path / "merged")


@pytest.mark.parametrize(
    ("module", "reason"),
    [("lm_head", "the embedding as well"), ("model.layers.0.mlp.gate", "gate, which is none of the linear layers")],
)
def test_a_layer_that_is_none_of_the_usual_ones_is_refused(
    tiny: Path, adapter: Path, tmp_path: Path, module: str, reason: str
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(adapter, tmp_path / "adapter")
    tensors = load_file(folder / "adapter_model.safetensors")
    for part in ("lora_A", "lora_B"):
        name = f"base_model.model.model.layers.0.self_attn.q_proj.{part}.weight"
        tensors[f"base_model.model.{module}.{part}.weight"] = tensors[name].clone()
    save_file(tensors, folder / "adapter_model.safetensors")

    with pytest.raises(LoadError, match=reason):
        planned(tiny, folder, tmp_path / "merged")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(tiny: Path, adapter: Path, tmp_path: Path, number: float) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(adapter, tmp_path / "adapter")
    tensors = load_file(folder / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = number
    save_file(tensors, folder / "adapter_model.safetensors")

    with pytest.raises(LoadError, match="not finite"):
        merge(planned(tiny, folder, tmp_path / "merged"), Work())

    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_quantized_base_is_refused(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny, tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "fp8"}}))

    with pytest.raises(LoadError, match="quantized"):
        planned(base, adapter, tmp_path / "merged")


# Whose files go


@pytest.mark.usefixtures("untested")
def test_an_earlier_merge_is_replaced_only_if_that_is_allowed(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    target = tmp_path / "merged"
    merge(planned(tiny, adapter, target), Work())
    (target / "notes.txt").write_text("mine")
    before = state(target)

    with pytest.raises(BadInput, match="holds an earlier merge"):
        planned(tiny, adapter, target)
    assert state(target) == before
    merge(planned(tiny, adapter, target, overwrite=True), Work())

    assert is_merged(target)
    assert (target / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("untested")
@pytest.mark.parametrize("name", ["README.md", "model.safetensors"])
def test_what_was_changed_since_the_merge_is_not_replaced(tiny: Path, adapter: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "merged"
    merge(planned(tiny, adapter, target), Work())
    with (target / name).open("ab") as file:
        file.write(b"mine")

    with pytest.raises(BadInput, match=f"{name} in merged is not as the merge wrote it"):
        planned(tiny, adapter, target, overwrite=True)


@pytest.mark.parametrize("name", ["config.json", "notes.txt", ".git"])
def test_a_folder_that_no_merge_wrote_is_never_replaced(tiny: Path, adapter: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / name).write_text("mine")

    with pytest.raises(BadInput, match=name):
        planned(tiny, adapter, tmp_path / "merged", overwrite=True)


@pytest.mark.usefixtures("untested")
def test_a_folder_that_is_called_like_our_hidden_one_is_left_alone(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / ".merged.merging").mkdir()
    (tmp_path / ".merged.merging" / "thesis.txt").write_text("mine")

    with pytest.raises(BadInput, match="in the way"):
        merge(planned(tiny, adapter, tmp_path / "merged"), Work())

    assert (tmp_path / ".merged.merging" / "thesis.txt").read_text() == "mine"


@pytest.mark.usefixtures("untested")
def test_a_folder_where_others_have_written_meanwhile_is_left_alone(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    plan = planned(tiny, adapter, tmp_path / "merged")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "config.json").write_text("mine")

    with pytest.raises(BadInput, match="no merge wrote"):
        merge(plan, Work())

    assert state(tmp_path) == {"merged/config.json": hashlib.sha256(b"mine").hexdigest()}


@pytest.mark.usefixtures("untested")
def test_the_same_merge_is_found_again_and_another_is_not(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    target, base = tmp_path / "merged", Base(tiny, BASE)
    result = merge(planned(tiny, adapter, target), Work())
    other = shutil.copytree(adapter, tmp_path / "other")
    other_config(other, lora_alpha=99)

    assert find_merged(read_adapter(adapter), base, target) == result
    assert find_merged(read_adapter(other), base, target) is None
    assert find_merged(read_adapter(adapter), Base(tiny, BASE, "c" * 40), target) is None
    (target / "tokenizer.json").write_text("{}")
    assert find_merged(read_adapter(adapter), base, target) is None


@pytest.mark.parametrize(
    ("repo", "cure"),
    [
        ("unsloth/Qwen3-8B-bnb-4bit", "qwen3ft download Qwen/Qwen3-8B, then qwen3ft merge mine --base Qwen/Qwen3-8B"),
        ("somebody/small-4bit", "name it: qwen3ft merge mine --base OWNER/NAME"),
    ],
)
def test_a_base_stored_in_4_bits_is_refused_with_the_repo_that_can_be_merged_into(
    tiny: Path, adapter: Path, tmp_path: Path, repo: str, cure: str
) -> None:
    stored = shutil.copytree(tiny, tmp_path / "stored", ignore=shutil.ignore_patterns(".qwen3ft"))
    config = json.loads((stored / "config.json").read_bytes())
    quantized = {**config, "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (stored / "config.json").unlink()
    (stored / "config.json").write_text(json.dumps(quantized), "utf-8")

    with pytest.raises(LoadError, match="is stored quantized") as caught:
        plan_merge(read_adapter(adapter), Base(stored, repo), Origin("mine"), tmp_path / "merged", overwrite=False)

    assert cure in error(caught.value, "cli")["hint"]


@pytest.mark.usefixtures("untested")
def test_a_merge_of_an_earlier_version_is_found_again(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    """Its record does not say which weights of the base: there was one choice."""
    target, base = tmp_path / "merged", Base(tiny, BASE)
    result = merge(planned(tiny, adapter, target), Work())
    record = json.loads((target / RECORD).read_bytes())
    del record["weights"]
    (target / RECORD).unlink()
    (target / RECORD).write_text(json.dumps(record), "utf-8")

    assert find_merged(read_adapter(adapter), base, target) == result
    assert find_merged(read_adapter(adapter), Base(tiny, BASE, weights="dequantized"), target) is None


# Faults


@pytest.mark.parametrize("before", ["nothing", "replaced"])
def test_a_kill_at_any_moment_leaves_nothing_that_looks_whole(
    tiny: Path, adapter: Path, tmp_path: Path, before: str
) -> None:
    """Killed at each operation of the disk in turn. What is left never has a config.json but in a finished folder."""
    place = tmp_path / "place"
    place.mkdir()
    script = [sys.executable, "-m", "tests.finetune.killed_merges", str(tiny), str(adapter), str(place), before]

    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=800)

    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ends) > 40
    assert all(end["killed"] for end in ends[:-1])
    assert [end["whole"] for end in ends[-1:]] == [["merged"]]
    for end in ends[:-1]:
        assert end["whole"] in ([], ["merged"])
    if before == "nothing":  # only the last operation, after which nothing is missing, may be followed by a kill
        assert [end["whole"] for end in ends].count(["merged"]) <= 3
    assert [path.name for path in place.iterdir()] == ["merged"]
    assert is_merged(place / "merged")


@pytest.mark.usefixtures("untested")
def test_a_full_disk_leaves_nothing_and_says_so(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in tiny.iterdir())
    for room in range(0, size, size // 12):
        with pytest.raises(NoSpace, match="full"):
            merge(planned(tiny, adapter, tmp_path / "merged"), Work(), disk=FullDisk(room))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("untested")
@pytest.mark.parametrize("operation", ["open", "write_at", "fsync", "replace", "make_folder"])
def test_a_disk_that_fails_at_any_moment_leaves_nothing(
    tiny: Path, adapter: Path, tmp_path: Path, operation: str
) -> None:
    for nth in range(1, 100):
        try:
            disk = FailingDisk(operation, nth, errno.EIO, is_once=True)
            merge(planned(tiny, adapter, tmp_path / "merged"), Work(), disk=disk)
        except Qwen3ftError:
            assert list(tmp_path.iterdir()) == []
            continue
        break
    assert nth > 1
    assert is_merged(tmp_path / "merged")


def test_too_little_room_is_told_before_with_what_is_needed(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    class SmallDisk(PlayedDisk):
        def free_bytes(self, folder: Path) -> int | None:
            return 1000 if folder.exists() else None

    with pytest.raises(NoSpace, match=r"needs 1\.\d MB .* 1\.0 kB are free"):
        plan_merge(
            read_adapter(adapter),
            Base(tiny, BASE),
            Origin("a"),
            tmp_path / "new/merged",
            overwrite=False,
            disk=SmallDisk(),
        )


@pytest.mark.usefixtures("untested")
def test_a_mount_that_renames_no_folders_will_do(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    merge(planned(tiny, adapter, tmp_path / "merged"), Work(), disk=BareDisk())

    assert is_merged(tmp_path / "merged")


@pytest.mark.parametrize("phase", ["merging", "comparing"])
def test_stopped_it_leaves_nothing(tiny: Path, adapter: Path, tmp_path: Path, phase: str) -> None:
    stop = threading.Event()

    class Stopping(Reporter):
        def progress(self, progress: Progress) -> None:
            if progress.phase == phase:
                stop.set()

    with pytest.raises(Stopped):
        merge(planned(tiny, adapter, tmp_path / "merged"), Work(Stopping(), stop))

    assert list(tmp_path.iterdir()) == []
