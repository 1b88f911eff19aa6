"""What the hubs say: names, listings and where a file's bytes can be asked for."""

from qwen3ft_jupyter.hubs.listing import HUB_LABELS, Hub, HubName, Listing, RemoteFile, Request
from qwen3ft_jupyter.hubs.names import RepoId, SafePath, Sha256, check_paths, is_wanted, parse_repo_id, slug
from qwen3ft_jupyter.hubs.routes import make_hubs, make_mirrors, resolve

__all__ = [
    "HUB_LABELS",
    "Hub",
    "HubName",
    "Listing",
    "RemoteFile",
    "RepoId",
    "Request",
    "SafePath",
    "Sha256",
    "check_paths",
    "is_wanted",
    "make_hubs",
    "make_mirrors",
    "parse_repo_id",
    "resolve",
    "slug",
]
