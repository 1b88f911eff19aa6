"""The extension as Jupyter finds it, configures it and ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter import server
from qwen3ft_jupyter.server.app import Qwen3FTApp

if TYPE_CHECKING:
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

HEAVY = ["torch", "transformers", "peft", "datasets", "modelscope", "huggingface_hub", "IPython", "ipywidgets"]


@pytest.mark.parametrize("module", ["qwen3ft_jupyter.server", "qwen3ft_jupyter.server.app"])
def test_the_server_part_is_light(module: str) -> None:
    """Every JupyterLab imports it at its start; a slow one makes JupyterHub's spawns time out."""
    code = f"import {module}, sys; print([name for name in {HEAVY} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_config_file_enables_the_extension() -> None:
    config = json.loads((Path(server.__file__).parent / "config" / "qwen3ft_jupyter.json").read_text("utf-8"))

    assert config == {"ServerApp": {"jpserver_extensions": {"qwen3ft_jupyter": True}}}


def test_the_package_names_the_extension_to_jupyter() -> None:
    import qwen3ft_jupyter

    points = qwen3ft_jupyter._jupyter_server_extension_points()

    assert points == [{"module": "qwen3ft_jupyter", "app": Qwen3FTApp}]


async def test_the_manager_is_built_by_the_first_request_and_only_once(
    jp_serverapp: Any, ask: Ask, app: Qwen3FTApp, manager: StandInManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = 0

    def build() -> StandInManager:
        nonlocal builds
        builds += 1
        return manager

    monkeypatch.setattr(app.access, "_build", build)
    assert app.access._manager is None

    await ask("get", "/models")
    await ask("get", "/jobs")

    assert builds == 1


def test_every_trait_explains_itself() -> None:
    own = Qwen3FTApp.class_own_traits(config=True)

    assert {"use_modelscope", "model_cache_dir", "shared_dirs", "state_dir"} <= set(own)
    for name, trait in own.items():
        assert trait.help.endswith("wins."), name


def test_no_trait_takes_a_token() -> None:
    """A server's configuration is read by more people than a person's token is for."""
    assert not [name for name in Qwen3FTApp.class_own_traits() if "token" in name or "password" in name]


def test_only_traits_that_are_set_are_passed_on() -> None:
    assert Qwen3FTApp().given_traits() == {}
    assert Qwen3FTApp(use_modelscope=False, model_cache_dir="/models", shared_dirs=["/team"]).given_traits() == {
        "use_modelscope": False,
        "cache_dir": "/models",
        "shared_dirs": ["/team"],
    }


def test_the_real_manager_gets_the_traits_and_the_servers_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("USE_MODELSCOPE", "MODEL_CACHE_DIR", "QWEN3FT_STATE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ".env").write_text("USE_MODELSCOPE=no\n")
    app = Qwen3FTApp(model_cache_dir=str(tmp_path / "models"), state_dir=str(tmp_path / "state"))
    app.serverapp = type("Root", (), {"root_dir": str(tmp_path / "root")})()

    settings = app.build_manager().settings

    assert settings.cache_dir == tmp_path / "models"
    assert settings.use_modelscope is False
