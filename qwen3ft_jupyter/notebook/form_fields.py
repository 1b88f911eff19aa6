"""The fields of a fine-tune's form, drawn from the JSON Schema of its config."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.messages import reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Number = type[int | float]

_WIDE = {"layout": {"width": "auto", "max_width": "40em"}, "style": {"description_width": "14em"}}
GROUPS = {"lora": "LoraConfig", "dlc": "DlcConfig"}
"""Groups of fields, and what their schema is called."""
_NUMBERS: dict[str, tuple[Number, ...]] = {"number": (int, float), "integer": (int,)}


@dataclass(frozen=True, slots=True)
class FormField:
    """One field and its widget; `name` leads into a group with a dot."""

    name: str
    group: str
    widget: Any
    """Any: ipywidgets has no types."""
    default: object
    numbers: tuple[Number, ...] = ()
    """What a text that is typed may be read as."""
    words: tuple[object, ...] = ()
    """Words that may stand instead of a number."""
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What other fields have to be for it to be of account."""

    def typed(self) -> object:
        """Return what is chosen or typed, None if that is the default; a number that is none, as it is typed."""
        value = self.widget.value
        if not isinstance(value, str):
            return None if value == self.default else value
        text = value.strip()
        for kind in self.numbers:
            with contextlib.suppress(ValueError):
                return kind(text)
        return None if not text or text == self.default else text

    def show_default(self, value: object) -> None:
        """Show in grey which number is taken if none is typed."""
        if self.numbers:
            self.widget.placeholder = "" if value is None else str(value)

    def show_if_needed(self, values: Mapping[str, object]) -> None:
        """Show it where it is of account, by the values of the fields; what somebody has typed stays in sight."""
        is_needed = all(values.get(name) in accepted for name, accepted in self.needs.items())
        self.widget.layout.display = None if is_needed or self.typed() is not None else "none"

    def is_no_number(self) -> bool:
        """Return whether something else is typed where a number is wanted."""
        typed = self.typed()
        return bool(self.numbers) and isinstance(typed, str) and typed not in self.words


def draw_fields(drawn: Mapping[str, Any]) -> Iterator[FormField]:
    """Yield the fields that people can type or choose.

    Args:
        drawn: Widgets by the names of fields that have one of their own.
    """
    from qwen3ft_jupyter.finetune.config import FineTuneConfig  # which imports pydantic

    schema = FineTuneConfig.json_schema(reader())
    groups = {group: schema["$defs"][kind]["properties"] for group, kind in GROUPS.items()}
    needs = {name: entry.get("x-needs", {}) for name, entry in schema["properties"].items()}
    within = {f"{group}.{inner}": entry for group in groups for inner, entry in groups[group].items()}
    for name, entry in {**schema["properties"], **within}.items():
        if name in drawn:
            for trait, value in labelled(entry).items():
                setattr(drawn[name], trait, value)
            yield FormField(name, entry["x-group"], drawn[name], None)
        elif (drawn_field := _draw(name, entry)) is not None:
            yield replace(drawn_field, needs=needs[name.partition(".")[0]])


def labelled(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what widgets say of a field, and how wide they are."""
    unit = f" ({entry['x-unit']})" if "x-unit" in entry else ""
    return {"description": f"{entry['title']}{unit}", "tooltip": entry["description"], **_WIDE}


def _draw(name: str, entry: Mapping[str, Any]) -> FormField | None:
    """Return a field with its widget, None if there is nothing to type or to choose."""
    import ipywidgets

    parts = entry.get("anyOf", [entry])
    types = {part.get("type", "object") for part in parts}
    words = tuple(value for part in parts for value in part.get("enum", [part["const"]] if "const" in part else []))
    default, group, label = entry.get("default"), entry["x-group"], labelled(entry)
    if types == {"boolean"}:
        box = ipywidgets.Checkbox(value=default, indent=True, **label)
        return FormField(name, group, box, default)
    numbers = next((kinds for kind, kinds in _NUMBERS.items() if kind in types and not set(words) - {"auto"}), ())
    if numbers or "array" in types or ("string" in types and not words):
        text = ipywidgets.Text(placeholder=str(default) if default or default == 0 else "", **label)
        return FormField(name, group, text, default, numbers, words)
    choices = [*([("", "")] if "null" in types else []), *((str(word), word) for word in words)]
    choices += [("true", True), ("false", False)] if "boolean" in types else []
    if len(choices) < 2:
        return None
    menu = ipywidgets.Dropdown(options=choices, value="" if default is None else default, **label)
    return FormField(name, group, menu, default)
