"""The front matter of a model card, as each hub reads it. Pure.

Hugging Face links what it finds under ``datasets`` and shows the numbers of a ``model-index``; ModelScope has its data
by use, names licences in full, and wants to know task and framework under names of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.finetune.report.card import perplexity
from qwen3ft_jupyter.finetune.results import CARD
from qwen3ft_jupyter.hubs.cards import BAD_YAML
from qwen3ft_jupyter.hubs.names import as_repo_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qwen3ft_jupyter.settings.declared import HubName

_FULL_NAMES: Final = {"apache-2.0": "Apache License 2.0", "mit": "MIT License"}
"""What ModelScope calls licences that Hugging Face has under these ids."""
_DATA_SUFFIXES: Final = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt", ".xlsx")
_TASK: Final = "text-generation"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a result beside its files."""

    title: str
    base_model: str = ""
    """A repo id; "" if that is not known."""
    relation: str = "finetune"
    """What it is of the base: adapter, finetune or quantized."""
    library: str = "transformers"
    licence: str = ""
    """As the base's card has it."""
    datasets: tuple[str, ...] = ()
    """Repo ids."""
    held_out: str = ""
    """The names of the files whose held-out rows `eval_loss` is of."""
    eval_loss: float | None = None
    is_likelihood: bool = True
    """Whether that is of tokens, so that there is a perplexity; a loss of preferences has none."""


def data_repos(data: Iterable[object]) -> tuple[str, ...]:
    """Return those of a fine-tune's data that are datasets on a hub.

    >>> data_repos(["/home/me/train.jsonl", "swift/self-cognition#200", "runs/train.jsonl"])
    ('swift/self-cognition',)
    """
    names = [str(one).partition("#")[0] for one in data]
    return tuple(name for name in names if as_repo_id(name) and not name.lower().endswith(_DATA_SUFFIXES))


def licence_in(card: str) -> str:
    r"""Return the licence that the head of a card names; "" if it names none.

    >>> licence_in("---\nlicense: apache-2.0\n---\n"), licence_in("# A model\nlicense: mit\n")
    ('apache-2.0', '')
    """
    lines = _split(card)[0].splitlines()
    return next((line.partition(":")[2].strip(" \"'") for line in lines if line.startswith("license:")), "")


def write_front_matter(card: str, facts: Facts, hub: HubName) -> str:
    """Return a model card with what a hub wants to know at its head; what somebody wrote there stays.

    Raises:
        BadInput: Its head is no YAML.
    """
    import yaml

    head, body = _split(card)
    try:
        given = yaml.safe_load(head) or {}
    except (yaml.YAMLError, *BAD_YAML) as error:
        raise _no_yaml() from error
    if not isinstance(given, dict):
        raise _no_yaml()
    known = _known(facts, hub)
    fields = {**known, **{name: value for name, value in given.items() if value not in (None, "", [], {})}}
    if hub == "modelscope":
        fields = _for_modelscope(fields)
    written = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{written}---\n\n{body.lstrip()}" if body.strip() else f"---\n{written}---\n\n# {facts.title}\n"


def _split(card: str) -> tuple[str, str]:
    text = card.replace("\r\n", "\n").removeprefix("\ufeff")
    if not text.startswith("---\n"):
        return "", text
    head, found, body = text.removeprefix("---\n").partition("\n---\n")
    return (head, body) if found else ("", text)


def _no_yaml() -> BadInput:
    return BadInput(
        "{name}: what stands between the first two lines --- is no YAML.", hint="Mend it, or take it out.", name=CARD
    )


def _known(facts: Facts, hub: HubName) -> dict[str, Any]:
    """Return what we know, in the order in which people read it."""
    fields: dict[str, Any] = {
        "license": facts.licence,
        "base_model": facts.base_model,
        "base_model_relation": facts.relation if facts.base_model else "",
        "library_name": facts.library,
        "pipeline_tag": _TASK,
        "datasets": list(facts.datasets),
        "metrics": ["perplexity"] if facts.eval_loss is not None and facts.is_likelihood else [],
    }
    if hub == "huggingface" and facts.eval_loss is not None:
        fields["model-index"] = [_results(facts, facts.eval_loss)]
    return {name: value for name, value in fields.items() if value}


def _results(facts: Facts, eval_loss: float) -> dict[str, Any]:
    kind = facts.datasets[0] if facts.datasets else "held-out"
    values = {"loss": eval_loss}
    if facts.is_likelihood and (measured := perplexity(eval_loss)) is not None:
        values["perplexity"] = measured
    metrics = [{"type": name, "value": round(value, 4), "name": name} for name, value in values.items()]
    dataset = {"name": f"held-out rows of {facts.held_out}", "type": kind}
    return {
        "name": facts.title,
        "results": [{"task": {"type": _TASK, "name": "Text Generation"}, "dataset": dataset, "metrics": metrics}],
    }


def _for_modelscope(fields: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(fields)
    licence = str(fields.get("license", ""))
    if licence:
        changed["license"] = _FULL_NAMES.get(licence.lower(), licence)
    if isinstance(fields.get("base_model"), str):
        changed["base_model"] = [fields["base_model"]]
    if isinstance(fields.get("datasets"), list):
        changed["datasets"] = {"train": fields["datasets"]}
    changed.setdefault("tasks", [_TASK])
    changed.setdefault("frameworks", ["Pytorch"])
    return changed
