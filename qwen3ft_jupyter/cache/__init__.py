"""What is on disk: models in folders, their records, and the downloads that bring them."""

from qwen3ft_jupyter.cache.audit import VerifyReport
from qwen3ft_jupyter.cache.dry_run import plan_model
from qwen3ft_jupyter.cache.elsewhere import Place, known_places
from qwen3ft_jupyter.cache.ensure import Ensured, ensure_model
from qwen3ft_jupyter.cache.manifest import Manifest, ManifestFile, read_manifest
from qwen3ft_jupyter.cache.models import CachedModel, EvictedModel
from qwen3ft_jupyter.cache.move import MoveReport, move_cache
from qwen3ft_jupyter.cache.preflight import DownloadPlan
from qwen3ft_jupyter.cache.repair import RepairReport, repair_model
from qwen3ft_jupyter.cache.store import ModelCache

__all__ = [
    "CachedModel",
    "DownloadPlan",
    "Ensured",
    "EvictedModel",
    "Manifest",
    "ManifestFile",
    "ModelCache",
    "MoveReport",
    "Place",
    "RepairReport",
    "VerifyReport",
    "ensure_model",
    "known_places",
    "move_cache",
    "plan_model",
    "read_manifest",
    "repair_model",
]
