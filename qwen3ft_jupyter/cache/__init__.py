"""What is on disk: models in folders, their records, and the downloads that bring them."""

from qwen3ft_jupyter.cache.audit import VerifyReport
from qwen3ft_jupyter.cache.ensure import Ensured, ensure_model
from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, read_manifest
from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
from qwen3ft_jupyter.cache.store import ModelCache

__all__ = [
    "CachedModel",
    "Ensured",
    "EvictedModel",
    "Manifest",
    "ManifestFile",
    "ModelCache",
    "VerifyReport",
    "ensure_model",
    "read_manifest",
]
