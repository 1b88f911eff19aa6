"""Which model people mean: by its name, by the address of its page, or by something that comes near. Pure.

An address says which model and revision are meant, not who is asked: that is for the settings alone. Names of data
sets have their hub in front, as in ``ms:owner/name``; those of models have not.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from qwen3ft_jupyter.errors import BadInput, BadName
from qwen3ft_jupyter.hubs.git_refs import check_revision
from qwen3ft_jupyter.hubs.names import PREFIXES, RepoId, as_repo_id, parse_repo_id
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


EXAMPLE: Final = "Qwen/Qwen3-0.6B"
HUB_HOSTS: Final = frozenset({"huggingface.co", "hf.co", "hf-mirror.com", "modelscope.cn", "modelscope.ai"})
"""Hosts whose addresses are taken for names, also with ``www.`` in front."""
MAX_NAME: Final = 2000
"""Characters of the longest address that is read."""

_PREFIX = re.compile(rf"({'|'.join(PREFIXES)})::?(?!/)", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_SCHEMES = re.compile(r"\A(?:[a-z][a-z0-9+.-]*://)+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_GIT_ADDRESS = re.compile(r"(?:ssh://)?git@([^:/]+)[:/](.*)", re.DOTALL)
_QUOTES = "\"'`<>“”‘’「」『』《》"
_FOLDER_NAME = re.compile(r"(?:models--)?([^/-]+(?:-[^/-]+)*)--([^/]+)")
_BEFORE_MODELS = (("api", "v1"), ("openapi", "v1"), ("api",))
_BEFORE_REVISION = frozenset({"tree", "blob", "resolve", "raw", "commit", "commits", "blame", "revision"})
_OTHER_THINGS: Final = {
    "datasets": Message("a dataset"),
    "spaces": Message("a space"),
    "studios": Message("a studio"),
    "collections": Message("a collection"),
    "papers": Message("a paper"),
    "docs": Message("a page of the documentation"),
    "blog": Message("an article"),
    "learn": Message("an article"),
    "skills": Message("a skill"),
    "mcp": Message("a server of tools"),
    "organization": Message("an organisation"),
    "organizations": Message("an organisation"),
    "profile": Message("a person"),
    "settings": Message("a page of settings"),
    "tasks": Message("a task"),
}
_NO_HUBS: Final = frozenset({"github.com", "gitee.com", "gitlab.com", "kaggle.com", "ollama.com", "registry.ollama.ai"})
"""Well-known hosts that keep no repositories of a hub: what is called so there is not called so on a hub."""
_WORDS = re.compile(r"[^\s,;'\"()\[\]{}<>，；、。（）【】]+")


class ModelRef(NamedTuple):
    """Which model, and which branch, tag or commit of it; None for none in particular."""

    repo_id: RepoId
    revision: str | None = None


def parse_model(text: str, revision: str | None = None) -> ModelRef:
    """Return the model that a name, ``name@revision`` or the address of one of its pages means.

    Args:
        text: What was given for the model.
        revision: What was given for the revision.

    Raises:
        BadName: It is no name of a model; the hint names what works.
        BadInput: No revision can be called so, or two were given.

    >>> parse_model("https://huggingface.co/Qwen/Qwen3-0.6B/tree/v1/sub")
    ModelRef(repo_id='Qwen/Qwen3-0.6B', revision='v1')
    >>> parse_model("modelscope.cn/models/Qwen/Qwen3-0.6B/summary").repo_id
    'Qwen/Qwen3-0.6B'
    """
    wanted = check_revision(revision) if revision else None
    cleaned = _cleaned(text).rstrip("/") if len(text) <= MAX_NAME else ""
    found = _of_address(cleaned) or _of_name(cleaned)
    if found is None:
        return ModelRef(parse_repo_id(text), wanted)
    own = check_revision(found.revision) if found.revision else None
    if own and wanted and own != wanted:
        raise BadInput(
            "{given} names the revision {own}, and {wanted} is asked for.",
            hint="Leave one of them out.",
            given=_shown(text),
            own=own,
            wanted=wanted,
        )
    return ModelRef(found.repo_id, own or wanted)


def _of_name(cleaned: str) -> ModelRef | None:
    name, _, revision = cleaned.partition("@")
    if prefix := _PREFIX.match(cleaned):
        raise BadName(
            "{given} is the name of a data set: {prefix} stands before those.",
            hint='For a model give its name alone: "{name}". Which hub is asked first, --hub or hub= says.',
            given=_shown(cleaned),
            prefix=prefix[0],
            name=as_repo_id(name[prefix.end() :]) or EXAMPLE,
        )
    repo_id = as_repo_id(name)
    return None if repo_id is None else ModelRef(repo_id, revision or None)


@dataclass(frozen=True, slots=True)
class _Address:
    """An address: its host and the parts of its path."""

    host: str
    parts: Sequence[str]
    query: str = ""

    @property
    def is_of_hub(self) -> bool:
        return self.host.lower().removeprefix("www.") in HUB_HOSTS

    @property
    def may_be_hub(self) -> bool:
        """Return whether a hub may have what is called so there: a path of this machine has no host."""
        return bool(self.host) and self.host.lower().removeprefix("www.") not in _NO_HUBS


def _address(cleaned: str) -> _Address | None:
    """Return the address that a text is, with or without its scheme; None if it is none."""
    match = _GIT_ADDRESS.fullmatch(cleaned)
    if match is not None:
        return _Address(match[1], _parts(match[2]))
    cleaned = _SCHEMES.sub("", cleaned, count=1)  # pasted behind one that was there already
    scheme = _SCHEME.match(cleaned)
    if scheme is not None and scheme[1].lower() == "hf":
        return _Address("hf.co", _parts(cleaned[scheme.end() :]))
    try:
        parts = urlsplit(cleaned if scheme else f"https://{cleaned}")
        address = _Address(parts.hostname or "", _parts(parts.path), parts.query)
    except ValueError:
        return None
    return address if scheme or address.is_of_hub else None


def _parts(path: str) -> Sequence[str]:
    return tuple(unquote(part) for part in path.partition("?")[0].partition("#")[0].split("/") if part)


def _of_address(cleaned: str) -> ModelRef | None:
    """Return the model whose page, file or repository a hub has at an address; None if it is no such address.

    Raises:
        BadName: It leads to something else.
    """
    address = _address(cleaned)
    if address is None:
        return None
    found = _at(address)
    if found is not None and address.is_of_hub:
        return found
    raise _other_address(address, cleaned, found)


def _other_address(address: _Address, given: str, found: ModelRef | None) -> BadName:
    if address.is_of_hub:
        what = next((_OTHER_THINGS[part] for part in address.parts if part in _OTHER_THINGS), "")
        return BadName(
            "{given} is the address of {what}, not of a model." if what else "{given} is not the address of a model.",
            hint='Give the name of a model, for example "{example}", or the address of its page.',
            given=_shown(given),
            what=what,
            example=EXAMPLE,
        )
    return BadName(
        "{given} is an address, and not of a hub that is known here.",
        hint='Give the name alone: "{name}". Who is asked for it is for HF_ENDPOINT and MODELSCOPE_ENDPOINT to say.'
        if (is_name := found is not None and address.may_be_hub)
        else 'Give the name of a model, for example "{name}".',
        given=_shown(given),
        name=_named(found) if found is not None and is_name else EXAMPLE,
    )


def _named(found: ModelRef) -> str:
    return f"{found.repo_id}@{found.revision}" if found.revision else found.repo_id


def _at(address: _Address) -> ModelRef | None:
    parts = list(address.parts)
    for prefix in _BEFORE_MODELS:
        if tuple(parts[: len(prefix)]) == prefix:
            parts = parts[len(prefix) :]
            break
    if parts[:1] == ["models"]:
        parts = parts[1:]
    if len(parts) < 2 or parts[0] in _OTHER_THINGS:
        return None
    owner, name, *rest = parts
    name, at, revision = name.partition("@")
    repo_id = as_repo_id(f"{owner}/{name.removesuffix('.git')}")
    if repo_id is None:
        return None
    return ModelRef(repo_id, revision if at else _revision_in(rest, address.query))


def _revision_in(rest: Sequence[str], query: str) -> str | None:
    """Return the revision in what follows the name of a model in an address."""
    if rest[:1] in (["file"], ["files"]) and rest[1:2] == ["view"]:
        rest = ["tree", *rest[2:]]
    if len(rest) >= 2 and rest[0] in _BEFORE_REVISION:
        return "/".join(rest[1:4]) if rest[1] == "refs" else rest[1]
    given = parse_qs(query)
    return next((values[-1] for name, values in given.items() if name.lower() == "revision"), None)


def not_a_name(text: str) -> BadName:
    """Return the error for what is no repo id; its hint names one that is, the nearest if there is one."""
    text = text[:MAX_NAME]
    cleaned = _cleaned(text)
    try:
        found = _of_address(cleaned.rstrip("/"))
    except BadName as error:
        return error
    if found is not None:
        return BadName(
            "{given} is an address.",
            hint='Give the name alone: "{name}".',
            given=_shown(text.strip()),
            name=found.repo_id,
        )
    parts = cleaned.split("/")
    if len(parts) == 3 and parts[0] in _OTHER_THINGS:
        return _other_address(_Address("hf.co", parts), text.strip(), None)
    near = _within(cleaned) or next(_meant(cleaned), None)
    is_bare = bool(cleaned) and near is None and not set(cleaned) & set("/\\")
    return BadName(
        "{given} has no owner." if is_bare else "{given} is not the name of a model.",
        hint='Did you mean "{near}"?'
        if near is not None
        else 'Write it as owner/name, as its page on the hub shows it, for example "{example}".'
        if is_bare
        else 'A name is owner/name in letters, digits, ".", "-" and "_", for example "{example}".',
        given=_shown(text.strip()),
        near=near,
        example=EXAMPLE,
    )


def _within(cleaned: str) -> str | None:
    """Return the name or address in a pasted command, link or list, if a known model is meant by the only one there."""
    from qwen3ft_jupyter.catalog import nearest_known

    found = set[str]()
    for word in _WORDS.findall(cleaned):
        with contextlib.suppress(BadInput):
            model = _of_address(word.rstrip(".")) or _of_name(word.rstrip("."))
            if model is not None and nearest_known(model.repo_id) == model.repo_id:
                found.add(_named(model))
    return found.pop() if len(found) == 1 else None


def _meant(cleaned: str) -> Iterator[str]:
    """Yield names that may be meant, the likeliest first; each can be given as it is."""
    from qwen3ft_jupyter.catalog import nearest_known

    path = re.sub(r"[\\/]+", "/", unquote(cleaned)).strip("/")
    path = re.sub(r"\s*/\s*", "/", re.split("[@?#]", path)[0])
    parts = path.removesuffix(".git").split("/")
    if len(parts) > 2 and parts[0] == "models":
        parts = parts[1:]
    spelled = re.sub(r"\s+", "-", "/".join(parts[:2]))
    folder = _FOLDER_NAME.fullmatch(spelled)
    if folder is not None:
        spelled = f"{folder[1]}/{folder[2]}"
    name = spelled.rpartition("/")[2]
    candidates = (spelled, name.partition(":")[0], *re.split("[_:]", name, maxsplit=1)[1:])
    known = next(filter(None, map(nearest_known, candidates)), None)
    if known is not None:
        yield known
    elif as_repo_id(spelled) is not None and (len(parts) <= 2 or parts[2] in _BEFORE_REVISION):
        yield spelled


def _cleaned(text: str) -> str:
    """Return a text as it was meant: full-width letters as plain ones, without what cannot be seen, without quotes."""
    plain = unicodedata.normalize("NFKC", text)
    seen = "".join(character for character in plain if unicodedata.category(character) not in {"Cc", "Cf", "Cs"})
    return seen.strip().strip(_QUOTES).strip()


def _shown(text: str) -> str:
    """Return a text quoted and cut; letters of all scripts stay, what cannot be seen is spelled out."""
    cut = text if len(text) <= 120 else text[:117] + "..."
    return f'"{cut}"' if cut.isprintable() else ascii(cut)
