"""Where a host that joins a fine-tune has the model: a cache that it shares, its own, a hub, or the first host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qwen3ft_jupyter.cache.own.manifest import read_manifest
from qwen3ft_jupyter.errors import HubError, NotCached, TransferError
from qwen3ft_jupyter.hubs.spelling import parse_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.download.request import Wanted
    from qwen3ft_jupyter.manager.manager import ModelManager
    from qwen3ft_jupyter.settings.declared import Settings
    from qwen3ft_jupyter.work import Work


class HostModels:
    """The models of a host that joins a fine-tune."""

    def __init__(self, settings: Settings, cache: ModelCache, work: Work) -> None:
        self._settings, self._cache, self._work = settings, cache, work

    def find(self, name: str, commit: str | None, folder: Path) -> Path | None:
        """Return the folder of the first host's model if this host sees it, or has the same; None if not."""
        if commit and _is_whole(folder, commit):
            return folder
        found = self._cache.find(*parse_model(name, commit or None))
        is_same = found is not None and not found.problems and (not commit or found.commit == commit)
        return found.folder if found is not None and is_same else None

    def fetch(self, name: str, commit: str | None, mirror: Mapping[str, str] | None) -> Path:
        """Bring the model here from a hub and from the first host at once; from that alone where no hub can be had.

        Without a commit nobody knows whether a hub has the same: then from the first host alone, if that can serve it.
        """
        wanted: Wanted = {"revision": commit} if commit else {}
        served = _settings_of(mirror) if mirror else {}
        if commit or not served:
            try:
                manager = self._with(**{name: served[name] for name in ("mirrors", "mirror_tokens") if name in served})
                return manager.ensure(name, reporter=self._work.reporter, stop=self._work.stop, **wanted).model.folder
            except (HubError, TransferError, NotCached):
                if not served:
                    raise
        manager = self._with(**served, offline=False)
        return manager.ensure(name, reporter=self._work.reporter, stop=self._work.stop, **wanted).model.folder

    def _with(self, **settings: Any) -> ModelManager:
        from qwen3ft_jupyter.manager.manager import get_model_manager

        given: dict[str, Any] = {**self._settings.shareable(), **settings}
        return get_model_manager(**given)


def _settings_of(mirror: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return under which settings the first host is the only one that is asked."""
    url, token = mirror["url"], mirror["token"]
    return {
        "mirrors": [url],
        "mirror_tokens": f"{urlsplit(url).netloc}={token}",
        "hf_endpoint": url,
        "hf_token": token,
        "modelscope_endpoint": url,
        "modelscope_token": token,
    }


def _is_whole(folder: Path, commit: str) -> bool:
    """Return whether a folder holds, by its record, all files of a model at a commit."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.commit != commit:
        return False
    try:
        return all((folder / file.path).stat().st_size == file.size for file in manifest.files)
    except OSError:
        return False
