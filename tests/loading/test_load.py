from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import memory
from qwen3ft_jupyter.errors import BadInput, CacheDamaged, DoesNotFit, LoadError, MissingPackage, UnsafeModel
from qwen3ft_jupyter.loading import load
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.loading.machine import Gpu, Machine
from qwen3ft_jupyter.loading.offline import quiet_libraries
from qwen3ft_jupyter.loading.safety import check_adapter_folder, check_model_folder
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from tests.loading.tiny_qwen3 import make_model
from tests.played_paths import ANSWERS, answering

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train

GB = 10**9


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A model folder that a test may spoil."""
    return shutil.copytree(tiny, tmp_path / "Tiny-Qwen3")


@pytest.fixture
def never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a refused folder reaches the libraries all the same."""
    import transformers

    def refuse(*_args: Any, **_options: Any) -> None:
        pytest.fail("the folder was loaded")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", refuse)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", refuse)


@pytest.fixture
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make every name look-up and connection to another machine an error."""
    tried: list[str] = []

    def refuse(*arguments: Any, **_options: Any) -> None:
        tried.append(str(arguments[:2]))
        raise OSError(f"no way out: {arguments[:2]}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def edit(path: Path, **changes: Any) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **changes}), encoding="utf-8")


def test_a_model_loads_for_this_machine_without_reaching_out(tiny: Path, no_way_out: list[str]) -> None:
    model, tokenizer = load_model_and_tokenizer(tiny)

    assert model.config.model_type == "qwen3"
    assert not model.training
    assert tokenizer("Hello")["input_ids"]
    assert no_way_out == []


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_the_type_can_be_given_under_both_names(tiny: Path, name: str) -> None:
    import torch

    options: dict[str, Any] = {name: torch.bfloat16}

    assert load_model_and_tokenizer(tiny, LoadOptions(device="cpu", **options))[0].dtype == torch.bfloat16


@pytest.mark.parametrize(("quantization", "kind"), [("4bit", "Linear4bit"), ("8bit", "Linear8bitLt")])
def test_quantized_models_load_and_compute_on_the_cpu(tiny: Path, quantization: str, kind: str) -> None:
    model, tokenizer = load_model_and_tokenizer(tiny, LoadOptions(device="cpu", quantization=quantization))

    layer = model.model.layers[0].self_attn.q_proj
    assert type(layer).__name__ == kind
    assert model(**tokenizer("Hello", return_tensors="pt")).logits.isfinite().all()


def test_an_adapter_is_put_on_the_model(tiny: Path, tmp_path: Path, no_way_out: list[str]) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model, tokenizer = load_model_and_tokenizer(tiny, LoadOptions(device="cpu"))
    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    with quiet_libraries():
        trained = get_peft_model(model, config).eval()
        trained.save_pretrained(str(tmp_path), save_embedding_layers=False)
    inputs = tokenizer("Hello", return_tensors="pt")
    expected = trained(**inputs).logits

    for folder in (tmp_path, str(tmp_path)):
        loaded, _ = load_model_and_tokenizer(tiny, LoadOptions(device="cpu", adapter=folder))

        assert torch.equal(loaded(**inputs).logits, expected)
    assert no_way_out == []


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}),
        ("config.json", {"_attn_implementation_internal": "someone/kernel"}),
        ("config.json", {"attn_implementation": "someone/kernel"}),
        ("config.json", {"text_config": {"inner": [{"_experts_implementation_internal": "someone/kernel"}]}}),
        ("config.json", {"quantization_config": {"quant_method": "torchao"}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}),
        ("tokenizer_config.json", {"vocab_file": "/etc/passwd"}),
        ("tokenizer_config.json", {"merges_file": "../../secret"}),
        ("generation_config.json", {"custom_generate": "evil.py"}),
    ],
)
def test_a_config_that_names_code_is_refused_before_anything_is_loaded(
    copy: Path, never_loaded: None, file: str, changes: dict[str, Any]
) -> None:
    edit(copy / file, **changes)

    with pytest.raises(UnsafeModel):
        load_model_and_tokenizer(copy)


def test_pickled_weights_are_refused(copy: Path, never_loaded: None) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")

    with pytest.raises(UnsafeModel, match=r"pytorch_model\.bin"):
        load_model_and_tokenizer(copy)


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/model.safetensors",
        "sub/model.safetensors",
        "a\\b.safetensors",
        "C:x.safetensors",
        "model.bin",
        ".safetensors",
        3,
    ],
)
def test_an_index_that_names_anything_but_a_file_of_the_folder_is_refused(
    copy: Path, never_loaded: None, name: object
) -> None:
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))

    with pytest.raises(UnsafeModel):
        load_model_and_tokenizer(copy)


def test_a_missing_shard_is_named(copy: Path, never_loaded: None) -> None:
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "model-2.safetensors"}}))

    with pytest.raises(CacheDamaged, match=r"model-2\.safetensors is missing"):
        load_model_and_tokenizer(copy)


@pytest.mark.parametrize(
    "content", [struct.pack("<Q", 100_000_001) + b"{}", b"\x04\0\0\0\0\0\0\0nope", b"\x02\0\0\0\0\0\0\0[]"]
)
def test_a_file_that_is_no_safetensors_is_named(copy: Path, never_loaded: None, content: bytes) -> None:
    (copy / "model.safetensors").write_bytes(content)

    with pytest.raises(LoadError, match=r"model\.safetensors is not a safetensors file"):
        load_model_and_tokenizer(copy)


def test_truncated_weights_are_named(copy: Path, never_loaded: None) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])

    with pytest.raises(CacheDamaged, match=r"model\.safetensors is cut short"):
        load_model_and_tokenizer(copy)


def test_an_adapter_folder_is_not_taken_for_a_model(copy: Path, never_loaded: None) -> None:
    """Transformers would follow its base_model_name_or_path to another folder or hub."""
    (copy / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')

    with pytest.raises(LoadError, match="an adapter, not a model"):
        load_model_and_tokenizer(copy)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"peft_type": "LORA", "auto_mapping": {"parent_library": "evil"}}, UnsafeModel),
        ({"peft_type": "LORA", "megatron_config": {"a": 1}}, UnsafeModel),
        ({"peft_type": "LORA"}, UnsafeModel),  # adapter_model.bin only
        ({"peft_type": "PROMPT_TUNING"}, LoadError),
    ],
)
def test_adapters_that_are_not_plain_lora_in_safetensors_are_refused(
    tmp_path: Path, config: dict[str, Any], error: type[LoadError]
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")

    with pytest.raises(error):
        check_adapter_folder(tmp_path)


def test_what_does_not_fit_is_refused_with_what_fits(
    tiny: Path, never_loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 thousand weights in float32 need 129 kB, in bfloat16 half, in 4 bits still less."""
    monkeypatch.setattr(load, "_smaller_model", lambda _free: "Qwen/Qwen3-0.6B")
    machine = Machine(ram_free_bytes=memory.CPU_OVERHEAD_BYTES + 70_000, ram_total_bytes=GB)

    with pytest.raises(DoesNotFit) as caught:
        load_model_and_tokenizer(tiny, machine=machine)

    assert caught.value.message == "Tiny-Qwen3 needs 0.1 MB of memory in float32, 0.1 MB are free."
    assert 'dtype="bfloat16"' in caught.value.hint
    assert 'quantization="4bit"' in caught.value.hint
    assert "Qwen/Qwen3-0.6B" in caught.value.hint


def test_the_memory_check_can_be_left_out(tiny: Path) -> None:
    machine = Machine(ram_free_bytes=0, ram_total_bytes=GB)

    assert load_model_and_tokenizer(tiny, LoadOptions(memory_check=False), machine=machine)[0] is not None


def test_a_full_gpu_is_refused_although_ram_is_free(tiny: Path, never_loaded: None) -> None:
    gpu = Gpu("T4", (7, 5), free_bytes=memory.GPU_OVERHEAD_BYTES + 10, total_bytes=16 * GB)

    with pytest.raises(DoesNotFit, match="of GPU memory in float16"):
        load_model_and_tokenizer(tiny, machine=Machine(64 * GB, 64 * GB, gpus=(gpu,)))


def test_a_tied_second_output_layer_does_not_count(tiny: Path) -> None:
    """Qwen3-0.6B stores its tied embedding twice, 311 MB that loading does not keep."""
    from qwen3ft_jupyter.loading.weights import model_tensors

    model, _ = load_model_and_tokenizer(tiny, LoadOptions(device="cpu"))

    assert sum(one.elements for one in model_tensors(tiny, tied=True)) == sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize(
    "options",
    [{"quantization": "3bit"}, {"attn_implementation": "someone/kernel"}, {"dtype": "int7"}, {"device": "cuda:9"}],
)
def test_wrong_arguments_are_refused(tiny: Path, never_loaded: None, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="is not"):
        load_model_and_tokenizer(tiny, LoadOptions(**options), machine=Machine(64 * GB, 64 * GB))


def test_a_missing_package_comes_with_its_command(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find_spec(name))

    with pytest.raises(MissingPackage) as caught:
        load_model_and_tokenizer(tiny, LoadOptions(quantization="4bit"))

    assert caught.value.hint == 'pip install "qwen3ft-jupyter[qlora]"'


def test_a_template_that_eats_the_machine_is_refused_when_the_model_is_loaded(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    edit(copy / "tokenizer_config.json", chat_template="{{ 'a' * 10 ** 9 }}")

    with pytest.raises(UnsafeModel, match="chat template"):
        load_model_and_tokenizer(copy)


def test_a_plain_qwen_folder_passes(tmp_path: Path) -> None:
    """The keys that Qwen's own files have are no reason to refuse."""
    make_model(tmp_path)
    edit(tmp_path / "generation_config.json", _from_model_config=True)
    edit(tmp_path / "config.json", _name_or_path="Qwen/Qwen3-0.6B", use_sliding_window=False, rope_scaling=None)
    edit(tmp_path / "tokenizer_config.json", added_tokens_decoder={"1": {"content": "<|im_start|>", "special": True}})

    assert check_model_folder(tmp_path).model_type == "qwen3"


@pytest.mark.train
@pytest.mark.parametrize("name", ["Qwen2Tokenizer", "PreTrainedTokenizerFast", "odd"])
def test_tokens_are_counted_alike_without_torch(tmp_path: Path, name: str) -> None:
    """What only counts them imports no torch where transformers needs none, and every class writes the same tokens."""
    folder = tmp_path / "model"
    shutil.copytree(MODEL_FOLDER, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": name}), "utf-8")
    code = (
        "import sys; from pathlib import Path; from qwen3ft_jupyter.loading.load import load_tokenizer; "
        f"found = load_tokenizer(Path({str(folder)!r}), is_light=LIGHT); "
        "turns = [{'role': 'user', 'content': 'Hi, 你好 123'}, {'role': 'assistant', 'content': '<think>a</think>b'}]; "
        "text = found.apply_chat_template(turns, tokenize=False); "
        "print(found(text)['input_ids'], found.eos_token_id); print('torch' in sys.modules)"
    )

    def counted(*, is_light: bool) -> list[str]:
        command = [sys.executable, "-c", code.replace("LIGHT", str(is_light))]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    light, whole = counted(is_light=True), counted(is_light=False)
    assert light[0] == whole[0]
    assert light[1] == str(name == "odd")


def test_importing_the_rooms_imports_nothing_heavy() -> None:
    code = (
        "import importlib, pkgutil, sys; from qwen3ft_jupyter import finetune, loading;"
        "[importlib.import_module(f'{room.__name__}.{module.name}')"
        " for room in (finetune, loading) for module in pkgutil.iter_modules(room.__path__)];"
        "heavy = {'torch', 'transformers', 'peft', 'bitsandbytes', 'accelerate', 'huggingface_hub'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")
@pytest.mark.parametrize("number", ANSWERS.values(), ids=list(ANSWERS))
@pytest.mark.parametrize("name", ["", "config.json", "model.safetensors", "tokenizer_config.json"])
def test_what_cannot_be_read_is_not_taken_for_missing(copy: Path, never_loaded: None, name: str, number: int) -> None:
    path = copy / name

    with (
        answering(path, number),
        pytest.raises(LoadError, match=f"{path.name} cannot be read: {os.strerror(number)}") as caught,
    ):
        load_model_and_tokenizer(copy)

    assert "another place" in caught.value.hint
    assert str(copy.parent) not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")
def test_an_adapter_that_cannot_be_read_is_not_taken_for_none(copy: Path, never_loaded: None) -> None:
    adapter = copy.parent / "adapter"
    adapter.mkdir()

    with answering(adapter, errno.EACCES), pytest.raises(LoadError, match="adapter cannot be read: Permission denied"):
        load_model_and_tokenizer(copy, LoadOptions(adapter=adapter))
