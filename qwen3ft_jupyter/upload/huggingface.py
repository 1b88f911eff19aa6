"""A repo on Hugging Face, written through huggingface_hub.

Its client hashes and sends what `PushedFile` reads. Files that it opens itself it would send by hf_xet, in threads of
its own that tell how far they are to a bar of its own, and stop for an interrupt alone.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.upload.reading import Passage, PushedFile
from qwen3ft_jupyter.upload.shelf import MESSAGE, explaining, missing, trying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingface_hub import CommitOperationAdd, HfApi

    from qwen3ft_jupyter.upload.plan import Item, Standing
    from qwen3ft_jupyter.upload.refusals import Place
    from qwen3ft_jupyter.work import Work

SMALL_BYTES = 64 << 10
"""Below it a file is sent again as quickly as it is asked for."""


class HuggingFaceShelf:
    """See `Shelf`."""

    def __init__(self, place: Place) -> None:
        """Take the repo. Raises MissingPackage."""
        try:
            from huggingface_hub import HfApi
            from huggingface_hub.utils import disable_progress_bars
        except ImportError as error:
            raise missing("huggingface_hub") from error
        disable_progress_bars()
        for name in ("huggingface_hub", "httpx", "httpx2"):  # what they tell quotes signed addresses
            logging.getLogger(name).setLevel(logging.ERROR)
        self.place = place
        # False: none at all, not that of somebody's login
        self._api: HfApi = HfApi(endpoint=place.endpoint, token=place.token.value or False)

    def create(self, *, is_private: bool) -> None:
        """See `Shelf`."""
        with explaining(self.place):
            self._api.create_repo(self.place.repo_id, private=is_private, exist_ok=True)

    def put(self, files: Sequence[Item], standing: Standing, work: Work) -> tuple[str, int]:
        """See `Shelf`; what is unchanged its client leaves out of the commit."""
        total = sum(file.size for file in files)
        checking = Passage(work, "checking", total)
        added: list[CommitOperationAdd] = []
        try:
            for file in files:
                added.append(self._addition(file, checking))
                checking.through(file)
            uploading = Passage(work, "uploading", total)
            for addition in added:
                addition.path_or_fileobj.passage = uploading
            for group in _groups(added):
                self._send(group, work)
                for addition in group:
                    uploading.through(addition.path_or_fileobj.item)
            sent = uploading.moved
            commit = trying(self.place, work, lambda: self._commit(added))
        finally:
            for addition in added:
                addition.path_or_fileobj.close()
        return "" if commit == standing.commit else commit, sent

    def _addition(self, file: Item, passage: Passage) -> CommitOperationAdd:
        from huggingface_hub import CommitOperationAdd

        with explaining(self.place):
            return CommitOperationAdd(file.path, PushedFile(file, passage))

    def _send(self, added: Sequence[CommitOperationAdd], work: Work) -> None:
        """Send what goes ahead of the commit, unless the hub has it; small files are part of the commit."""
        given: dict[str, Any] = {"additions": added, "num_threads": 1, "free_memory": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how the client calls its own HTTP library
            trying(self.place, work, lambda: self._api.preupload_lfs_files(self.place.repo_id, **given))

    def _commit(self, added: Sequence[CommitOperationAdd]) -> str:
        commit = self._api.create_commit(self.place.repo_id, added, commit_message=MESSAGE, num_threads=1)
        return str(commit.oid)


def _groups(added: Sequence[CommitOperationAdd]) -> list[list[CommitOperationAdd]]:
    """Return small files together, which the hub is asked about at once, and then each large one alone."""
    small = [one for one in added if one.upload_info.size < SMALL_BYTES]
    return [small, *([one] for one in added if one not in small)]
