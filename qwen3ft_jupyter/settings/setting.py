"""What declares a setting: the value of a field of `declared.Settings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from qwen3ft_jupyter.settings.kinds import Kind

T = TypeVar("T")

DEFAULT_ORIGIN: Final = Message("default")


def user_folder(find: Callable[[str], str]) -> Path | None:
    """Return the user's own folder for this package that a function of platformdirs finds, None without a home folder.

    Versions of platformdirs differ: some raise then, some return a path that begins with a literal ``~``.
    """
    try:
        path = Path(find("qwen3ft"))
    except RuntimeError:
        return None
    return path if path.is_absolute() else None


@dataclass(frozen=True, slots=True)
class Before:
    """What a default may depend on."""

    environ: Mapping[str, str]
    values: Mapping[str, object]
    """Of the settings declared before, by name."""


Default = Callable[[Before], tuple[T, str]]
"""Returns the value and its origin."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as `setting` declares it."""

    name: str
    """Of its field in `Settings`."""
    variable: str
    kind: Kind[object]
    help: str
    default: Default[object]
    aliases: tuple[str, ...]
    alias_kind: Kind[object]
    trait_name: str
    from_working_folder: bool

    def read(self, variable: str, value: object) -> object:
        """Return what `value` of `variable`, an alias perhaps, means. Raises BadSetting."""
        kind = self.kind if variable == self.variable else self.alias_kind
        return kind.read(variable, value)


def setting(
    variable: str,
    kind: Kind[T],
    help_text: str,
    *,
    default: T | Default[T],
    aliases: tuple[str, ...] = (),
    alias_kind: Kind[T] | None = None,
    trait_name: str = "",
    from_working_folder: bool = False,
) -> T:
    """Declare a setting: the value of a field of `Settings`.

    Args:
        variable: its name in the environment and in a ``.env``.
        kind: how its text is read.
        help_text: what it is for, in a sentence.
        default: its value, or how to find it.
        aliases: variables of other programs that mean the same.
        alias_kind: how those programs read them, if not as we do.
        trait_name: what a server's configuration calls it, if not as the field.
        from_working_folder: whether a ``.env`` in the working folder or the server's root may set it.
    """

    def plain_default(_: Before) -> tuple[T, str]:
        return cast("T", default), DEFAULT_ORIGIN

    declared = Setting(
        name="",  # only the class knows it: see `declared_settings`
        variable=variable,
        kind=kind,
        help=help_text,
        default=default if callable(default) else plain_default,
        aliases=aliases,
        alias_kind=alias_kind or kind,
        trait_name=trait_name,
        from_working_folder=from_working_folder,
    )
    return cast("T", field(metadata={"setting": declared}))
