"""What is on disk: models in folders, their records, and the downloads that bring them.

`dry_run` and `move` are imported by whoever needs them: a download waits for no module it does not use.
"""

from qwen3ft_jupyter.cache.audit import VerifyReport
from qwen3ft_jupyter.cache.elsewhere import Place, known_places
from qwen3ft_jupyter.cache.ensure import Ensured, ensure_model
from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, read_manifest
from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
from qwen3ft_jupyter.cache.repair import RepairReport, repair_model
from qwen3ft_jupyter.cache.store import ModelCache

__all__ = [
    "CachedModel",
    "Ensured",
    "EvictedModel",
    "Manifest",
    "ManifestFile",
    "ModelCache",
    "Place",
    "RepairReport",
    "VerifyReport",
    "ensure_model",
    "known_places",
    "read_manifest",
    "repair_model",
]
