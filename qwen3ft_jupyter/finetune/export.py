"""Hands a model to what serves it: vLLM, SGLang, Ollama, llama.cpp. A folder or a file, and the lines to type."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.disk import LOCAL, make_folders, read_json, write_atomic
from qwen3ft_jupyter.errors import BadInput, LoadError, NoSpace
from qwen3ft_jupyter.finetune.merged import GENERATION, ExportResult
from qwen3ft_jupyter.finetune.target import disk_error
from qwen3ft_jupyter.loading.safety import check_model_folder
from qwen3ft_jupyter.loading.weights import read_tensors, weight_files
from qwen3ft_jupyter.messages import Message, Size
from qwen3ft_jupyter.paths import is_file, is_folder, is_there, nearest_folder
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.loading.libraries import Tokenizer
    from qwen3ft_jupyter.work import Work

TARGETS: Final = ("safetensors", "vllm", "sglang", "ollama", "gguf")
CONVERTER: Final = "convert_hf_to_gguf.py"
"""The converter of llama.cpp, as it is called in its repository and where it is installed."""
LLAMA_CPP: Final = "https://github.com/ggml-org/llama.cpp"
LOOK_S: Final = 0.2
"""Between two looks at a converter that is at work."""

_GGUF_TYPES: Final = {"BF16": "bf16", "F16": "f16", "F32": "f32"}
_SAMPLING: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "repeat_penalty",
}
"""What generation_config.json and a Modelfile call the same."""


def check_target(target: str) -> str:
    """Return `target` if models can be exported to it. Raises BadInput."""
    if target not in TARGETS:
        raise BadInput("to: {value} is not known.", hint="Accepted: {names}.", value=target, names=", ".join(TARGETS))
    return target


def makes_file(target: str) -> bool:
    """Return whether an export to it is a file beside the model; else it is the model's folder as it is."""
    return target in {"ollama", "gguf"}


def check_output(target: str, name: str, folder: Path, *, overwrite: bool) -> None:
    """Make sure that the file of an export may be written into `folder`. Raises BadInput."""
    path = folder / _file_name(target, name)
    if is_there(folder) and not is_folder(folder):
        raise BadInput("output_dir: {name} is not a folder.", hint="Name another folder.", name=folder.name)
    if is_there(path) and not (overwrite and is_file(path)):
        raise BadInput(
            "output_dir: {folder} holds a {name} already.",
            hint="Name another folder, or replace it: --overwrite, overwrite=True.",
            folder=folder.name,
            name=path.name,
        )


def export(model: Path, name: str, target: str, output_dir: Path | None, work: Work) -> ExportResult:
    """Make what `target` needs of the model in a folder, and say how it is served.

    Args:
        model: A whole model.
        name: What to call it where it is served.
        target: One of `TARGETS`.
        output_dir: Where the file goes, for a target that needs one.
        work: Is told of the phase exporting.

    Raises:
        LoadError: The model's chat template cannot be written for Ollama, or the converter of llama.cpp fails.
        NoSpace, BadInput: The disk refuses.
        Stopped: The work was to stop.
    """
    check_model_folder(model)
    work.progress(Progress("exporting", 0, None, "files"))
    served, place = served_name(name), output_dir or model
    try:
        match target:
            case "ollama":
                commands = _export_ollama(model, served, place)
            case "gguf":
                commands = _export_gguf(model, served, place, work)
            case _:
                commands = _serve(model, served, target)
    except OSError as error:
        raise disk_error(error, place) from error
    work.progress(Progress("exporting", 1, 1, "files"))
    return ExportResult(str(place if makes_file(target) else model), target, str(model), tuple(commands))


def served_name(name: str) -> str:
    """Return a name that every server takes.

    >>> served_name("runs/My first run"), served_name("Qwen/Qwen3-0.6B")
    ('my-first-run', 'qwen3-0.6b')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._") or "model"


def _file_name(target: str, name: str) -> str:
    return "Modelfile" if target == "ollama" else f"{served_name(name)}.gguf"


def _serve(model: Path, name: str, target: str) -> list[str]:
    folder = quote(str(model))
    parser = " --reasoning-parser qwen3" if _thinks(model) else ""
    if target == "vllm":
        return [f"vllm serve {folder} --served-model-name {name}{parser}"]
    if target == "sglang":
        return [f"python -m sglang.launch_server --model-path {folder} --served-model-name {name}{parser}"]
    return [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        f'model = AutoModelForCausalLM.from_pretrained({str(model)!r}, dtype="auto")',
        f"tokenizer = AutoTokenizer.from_pretrained({str(model)!r})",
    ]


def quote(word: str) -> str:
    """Return a word as the shell of this platform takes it."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)


def _thinks(model: Path) -> bool:
    """Return whether the chat template knows think blocks."""
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if "<think>" in (model / name).read_text("utf-8"):
                return True
    return False


# Ollama


def _export_ollama(model: Path, name: str, folder: Path) -> list[str]:
    from qwen3ft_jupyter.finetune.rendering import end_of_turn_ids
    from qwen3ft_jupyter.loading.load import load_tokenizer
    from qwen3ft_jupyter.loading.templates import TemplateRenderer

    tokenizer = load_tokenizer(model)
    if not tokenizer.chat_template:
        raise LoadError("The model has no chat template: Ollama could not talk to it.", hint="Export it to gguf.")
    with TemplateRenderer.of(tokenizer) as renderer:
        template = ollama_template(renderer)
        end_ids = end_of_turn_ids(tokenizer, renderer)
    settings = read_json(model / GENERATION) if is_file(model / GENERATION) else {}
    text = modelfile(model, template, _stops(tokenizer, settings, end_ids), settings)
    make_folders(folder)
    write_atomic(folder / "Modelfile", text.encode())
    return [f"ollama create {name} -f {quote(str(folder / 'Modelfile'))}", f"ollama run {name}"]


def _stops(tokenizer: Tokenizer, settings: Mapping[str, Any], end_ids: Sequence[int]) -> list[str]:
    """Return the texts of the tokens that end an answer."""
    present = settings.get("eos_token_id")
    ids = [*end_ids, *(present if isinstance(present, list) else [present]), tokenizer.eos_token_id]
    return [str(tokenizer.convert_ids_to_tokens(one)) for one in dict.fromkeys(ids) if one is not None]


def modelfile(model: Path, template: str, stops: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Return a Modelfile: Ollama makes its own file from the safetensors that it names."""
    lines = [f"FROM {model}", f'TEMPLATE """{template}"""', *(f'PARAMETER stop "{stop}"' for stop in stops)]
    if settings.get("do_sample"):
        lines += [
            f"PARAMETER {ours} {settings[key]}" for key, ours in _SAMPLING.items() if settings.get(key) is not None
        ]
    else:
        lines.append("PARAMETER temperature 0")
    return "\n".join([*lines, ""])


_TALKS: Final = (
    [{"role": "user", "content": "one"}],
    [
        {"role": "system", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four"},
        {"role": "user", "content": "five"},
    ],
)
"""What the model's own template and the one for Ollama must write alike."""


def ollama_template(renderer: Any) -> str:  # Any: a `TemplateRenderer`, or what a test plays one with
    """Return Ollama's template for a model whose own template writes ChatML, as those of Qwen do.

    Raises LoadError for another one: it would be talked to in words that it has not learned.
    """
    from qwen3ft_jupyter.loading.templates import Rendering

    def render(talk: list[dict[str, str]], *, thinking: bool) -> str:
        variables = {"add_generation_prompt": True, "enable_thinking": thinking}
        return str(renderer.render([Rendering(talk, variables)])[0])

    opening = "<|im_start|>assistant\n"
    on, off = (render(_TALKS[0], thinking=thinking).rpartition(opening)[2] for thinking in (True, False))
    for talk in _TALKS:
        body = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in talk)
        if (render(talk, thinking=True), render(talk, thinking=False)) != (body + opening + on, body + opening + off):
            raise LoadError(
                "The chat template of the model is not in the form that is known for Ollama.",
                hint="Export it to gguf: llama.cpp reads the template itself.",
            )
    if_on = f"{{{{ else }}}}{on}" if on else ""
    begins = on if on == off else f"{{{{ if and $.IsThinkSet (not $.Think) }}}}{off}{if_on}{{{{ end }}}}"
    thought = "{{ if and $last .Thinking }}<think>\n{{ .Thinking }}\n</think>\n\n{{ end }}"
    return _OLLAMA.replace("THOUGHT", thought if "<think>" in on + off else "").replace("BEGINS", begins)


_OLLAMA: Final = """\
{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
THOUGHT{{ .Content }}{{ if not $last }}<|im_end|>
{{ end }}
{{- end }}
{{- if and $last (ne .Role "assistant") }}<|im_start|>assistant
BEGINS{{ end }}
{{- end }}"""
"""Tools are left out: Ollama then says that the model does not take any."""


# GGUF


def _export_gguf(model: Path, name: str, folder: Path, work: Work) -> list[str]:
    """Have the converter of llama.cpp make the file, if it is installed; else return the commands that do."""
    path = folder / f"{name}.gguf"
    found = shutil.which(CONVERTER)
    types = {tensor.dtype for file in weight_files(model) for tensor in read_tensors(file) if len(tensor.shape) == 2}
    outtype = _GGUF_TYPES.get(types.pop() if len(types) == 1 else "", "auto")
    make_folders(folder)
    serve = f"llama-server -m {quote(str(path))} --jinja"
    if found is None:
        work.notice(
            "The converter of llama.cpp ({name}) is not installed: the commands install and run it.", name=CONVERTER
        )
        requirements = "llama.cpp/requirements/requirements-convert_hf_to_gguf.txt"
        make = f"{quote(str(model))} --outfile {quote(str(path))} --outtype {outtype}"
        return [
            f"git clone --depth 1 {LLAMA_CPP}",
            f"python -m pip install -r {requirements}",
            f"python llama.cpp/{CONVERTER} {make}",
            serve,
        ]
    size = sum(file.stat().st_size for file in weight_files(model))
    free = LOCAL.free_bytes(nearest_folder(folder))
    if free is not None and free < size:
        raise NoSpace(
            "The GGUF file needs {needed}, {free} are free.",
            hint="Free some room, or name another output_dir.",
            needed=Size(size),
            free=Size(free),
        )
    half = folder / f".{path.name}.part"
    try:
        _convert([found, str(model), "--outfile", str(half), "--outtype", outtype], work)
        if not is_file(half):
            raise LoadError(
                "The converter of llama.cpp made no file.", hint="The end of the job's log shows what it said."
            )
        with half.open("rb") as file:
            LOCAL.fsync(file.fileno())
        LOCAL.replace(half, path)
    finally:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
    return [serve]


def _convert(command: list[str], work: Work) -> None:
    """Run the converter; what it says goes to where this process writes. Raises LoadError, Stopped."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                work.check()
                work.stop.wait(LOOK_S)
        except BaseException:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            raise
    if process.returncode:
        raise LoadError(
            "The converter of llama.cpp failed with exit code {code}.",
            hint=Message("The end of the job's log shows what it said."),
            code=process.returncode,
        )
