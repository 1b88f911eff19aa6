"""What a push would upload, as values. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.faces.views import Table
from qwen3ft_jupyter.messages import Message, Names, size, tr
from qwen3ft_jupyter.upload.plan import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.upload.plan import PushPlan

_STANDS = {
    True: Message("it is there, and private"),
    False: Message("it is there, and public"),
    None: Message("it is there"),
}
"""What is known of a repo that is there."""


def push_table(plan: PushPlan, face: Face) -> Table:
    """Return the files that would be uploaded and where they would go, a file or a fact a row."""
    title = tr(
        "{count} files, {size}, would go to {repo_id} on {hub}.",
        count=len(plan.files),
        size=size(plan.size),
        repo_id=plan.repo_id,
        hub=LABELS[plan.hub],
    )
    return Table(title, (tr("What"), tr("Value")), tuple(_rows(plan)), tuple(_notes(plan, face)), (plan.to_dict(),))


def _rows(plan: PushPlan) -> Iterator[tuple[str, str]]:
    for file in plan.files:
        yield file.path, size(file.size)
    yield tr("page"), plan.page
    yield tr("seen by"), tr("those who see the owner's private repos") if plan.is_private else tr("everybody")
    if plan.standing is not None:
        yield tr("repo"), tr(_STANDS[plan.standing.is_private])
    elif plan.problem is None:
        yield tr("repo"), tr("it is not there, and would be made")
    if plan.present:
        yield tr("replaced"), tr("{names}, where they differ", names=Names(plan.present))
    if plan.left:
        yield tr("stays here"), tr(Names(plan.left).as_message())


def _notes(plan: PushPlan, face: Face) -> Iterator[str]:
    speaker = speaker_of(face)
    if plan.problem is not None:
        yield f"{speaker.say(plan.problem.message)} {speaker.say(plan.problem.hint)}".strip()
    else:
        yield tr("Nothing has been uploaded. To upload it, say so: --yes, confirm=True.")
