"""What is shown of one model, and of newer commits of cached ones. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.faces.format import count, fact
from qwen3ft_jupyter.faces.say import KIND_WORDS
from qwen3ft_jupyter.faces.verbs import speaker_of, write_command
from qwen3ft_jupyter.faces.views import (
    OWNERS,
    Table,
    hub_words,
    make_table,
    owner_words,
    state_words,
    unfinished_note,
)
from qwen3ft_jupyter.messages import Message, Texts, as_message, duration, moment, size, tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.faces.views import Columns
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.manager.details import ModelCard, ModelDetails
    from qwen3ft_jupyter.manager.rates import SourceRate
    from qwen3ft_jupyter.manager.updates import ModelNews

_DIGITS = 12
"""So many digits tell a digest or a commit from others."""
_METHODS = {
    "load": Message("Load"),
    "qlora": Message("QLoRA"),
    "lora": Message("LoRA"),
    "full": Message("Full fine-tuning"),
}
"""What needs memory, and how that is called."""


def details_table(details: ModelDetails, face: Face) -> Table:
    """Return the files of a model, and below them what else is known; a command line shows whole digests."""
    parts = [details.model_name, hub_words(details.model_name, OWNERS.get(details.hub or "", ""))]
    parts += [details.revision, details.commit[:_DIGITS]]
    files = details.files or ()
    return Table(
        " · ".join(part for part in parts if part),
        (tr("File"), tr("Size"), tr("Digest")),
        tuple((file.path, size(file.size), _digest(file, is_whole=face == "cli")) for file in files),
        tuple(_facts(details, face)),
        tuple(details.to_dict()["files"] or ()),
    )


def _digest(file: RemoteFile, *, is_whole: bool) -> str:
    kind, digest = ("sha256", file.sha256) if file.sha256 else ("git-sha1", file.git_sha1 or "")
    return f"{kind}:{digest if is_whole else digest[:_DIGITS]}"


def _facts(details: ModelDetails, face: Face) -> Iterator[str]:
    about = details.about
    if about.role or about.note:
        yield fact(tr("For"), tr(as_message("{texts}", {"texts": Texts(filter(None, (about.role, about.note)))})))
    known = {
        tr("Kind"): tr(KIND_WORDS.get(about.kind, about.kind)),
        tr("Parameters"): count(about.parameters),
        tr("Licence"): details.license,
        tr("Memory it takes"): ", ".join(
            f"{tr(_METHODS[method])} {size(need)}" for method, need in (about.memory_bytes or {}).items()
        ),
    }
    yield from (fact(name, value) for name, value in known.items() if value)
    if details.files is None:
        yield tr("Its files are not known: no hub was asked.")
    else:
        whole = size(sum(file.size for file in details.files))
        yield fact(tr("Files"), f"{len(details.files)}, {whole}")
    yield from _on_this_disk(details, face)
    yield from (fact(source.name, _rate(source)) for source in details.sources)
    if not details.sources and details.model_name != PRACTICE_REPO_ID:
        yield tr("How fast the hubs are is not known yet: downloads measure it.")


def _on_this_disk(details: ModelDetails, face: Face) -> Iterator[str]:
    for copy in details.copies:
        words = [owner_words(copy.owner), copy.revision or copy.commit[:_DIGITS], size(copy.size_bytes)]
        words += [state_words(copy), str(copy.folder)]
        yield fact(tr("On this disk"), " · ".join(word for word in words if word))
    yield from (unfinished_note(one, face) for one in details.unfinished)
    if not details.copies and not details.unfinished:
        command = write_command("download", details.model_name, face=face)
        yield tr("It is not on this disk. Download it: {command}", command=command)


def _rate(source: SourceRate) -> str:
    part = tr("{size} in {time}", size=size(source.bytes), time=duration(source.seconds))
    return " · ".join([f"{size(source.rate)}/s", part, moment(source.ended)])


def card_words(card: ModelCard) -> str:
    """Return what there is to say of a card beside its text: who gave it, or why there is none."""
    if card.text is None:
        return tr("Its card is not known: no hub was asked.")
    if not card.text.strip():
        return tr("This model has no card.")
    if card.hub is None:
        return tr("From the cache; written by the publisher of the model.")
    label = hub_words(card.model_name, OWNERS[card.hub])
    return tr("From {hub}; written by the publisher of the model.", hub=label)


def updates_table(news: Sequence[ModelNews], face: Face) -> Table:
    """Return what is cached and what the hubs have, a model a row, and how to update."""
    columns: Columns[ModelNews] = {
        tr("Model"): lambda one: one.model_name,
        tr("Revision"): lambda one: one.revision,
        tr("Here"): lambda one: one.commit[:_DIGITS],
        tr("On the hub"): _there,
        tr("To fetch"): lambda one: size(one.bytes_to_fetch),
        tr("Hub"): lambda one: OWNERS[one.hub],
    }
    newer = [one for one in news if one.has_update]
    title = tr("Cached models: {count}; with an update: {newer}", count=len(news), newer=len(newer))
    return make_table(title, columns, news, [*_problems(news, face), *(_cure(one, face) for one in newer)])


def _there(one: ModelNews) -> str:
    if one.has_update:
        return one.latest[:_DIGITS]
    return tr("the same") if one.latest else tr("not known")


def _problems(news: Sequence[ModelNews], face: Face) -> list[str]:
    speaker = speaker_of(face)
    return [fact(one.model_name, speaker.say(one.problem)) for one in news if one.problem]


def _cure(one: ModelNews, face: Face) -> str:
    at = ["--revision", one.beside] if one.beside else []
    return tr("Update it: {command}", command=write_command("download", one.model_name, "--update", *at, face=face))
