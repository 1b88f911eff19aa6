"""What is on disk: models in folders, their records, and the downloads that bring them.

`move` is imported by whoever needs it: a download waits for no module it does not use.
"""

from qwen3ft_jupyter.cache.elsewhere import Place, known_places
from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, read_manifest
from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
from qwen3ft_jupyter.cache.repair import RepairReport, repair_model
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.cache.verify import VerifyReport

__all__ = [
    "CachedModel",
    "EvictedModel",
    "Manifest",
    "ManifestFile",
    "ModelCache",
    "Place",
    "RepairReport",
    "VerifyReport",
    "known_places",
    "read_manifest",
    "repair_model",
]
