"""The extension as Jupyter finds it, configures it and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter import server
from qwen3ft_jupyter.errors import BadSetting
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
        assert trait.help.endswith("wins.") or name == "jobs_are_activity", name


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


@pytest.fixture
def unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what a test gives decides."""
    for variable in (
        "USE_MODELSCOPE",
        "MODEL_CACHE_DIR",
        "MODEL_CACHE_QUOTA",
        "QWEN3FT_STATE_DIR",
        "HF_ENDPOINT",
        "QWEN3FT_MIRRORS",
        "QWEN3FT_MAX_SPEED",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("QWEN3FT_LAB_SETTINGS", "")  # a server writes it


def serving(root: Path, **traits: Any) -> Qwen3FTApp:
    """Return the extension of a server that shows `root`."""
    root.mkdir()
    app = Qwen3FTApp(**traits)
    app.serverapp = type("Root", (), {"root_dir": str(root)})()
    return app


def in_a_kernel(folder: Path) -> dict[str, list[str]]:
    """Return value and origin of each setting in a process that this one starts in `folder`."""
    code = (
        "import json; from qwen3ft_jupyter.manager import get_model_manager;"
        "print(json.dumps(get_model_manager().describe().to_dict()['settings']))"
    )
    path = {"PYTHONPATH": str(Path(server.__file__).parents[2])}
    folder.mkdir(parents=True)
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, **path}, capture_output=True, text=True, check=True
    ).stdout
    return {row["name"]: [row["value"], row["origin"]] for row in json.loads(said)}


def test_a_kernel_uses_what_the_panel_uses(tmp_path: Path, unset: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traits and the root's .env are told to the kernels, wherever below the root a notebook lies."""
    app = serving(
        tmp_path / "root",
        model_cache_dir="models",
        shared_dirs=["/team/a", "/team/b"],
        other_dirs=["/old/models"],
        quota="200GB",
        mirrors=["10.0.0.5:8900", "http://10.0.0.6:8900/"],
        max_speed="20MB",
        state_dir=str(tmp_path / "state"),
        hf_endpoint="https://mirror.example",
        fallback=False,
        max_connections=3,
    )
    (tmp_path / "root" / ".env").write_text("USE_MODELSCOPE=no\nHF_ENDPOINT=https://evil.example\n")
    monkeypatch.chdir(tmp_path)

    app.publish()

    panel = {row.variable: [row.value, row.origin] for row in app.build_manager().describe().rows}
    kernel = in_a_kernel(tmp_path / "root" / "deep" / "down")
    assert kernel == panel
    assert kernel["USE_MODELSCOPE"] == ["false", ".env in the server's root"]
    assert kernel["MODEL_CACHE_DIR"] == [str(tmp_path / "models"), "jupyter_server_config"]
    assert kernel["MODEL_CACHE_SHARED_DIRS"] == ["/team/a, /team/b", "jupyter_server_config"]
    assert kernel["MODEL_CACHE_OTHER_DIRS"] == ["/old/models", "jupyter_server_config"]
    assert kernel["MODEL_CACHE_QUOTA"] == ["200000000000", "jupyter_server_config"]
    assert kernel["QWEN3FT_MIRRORS"] == ["https://10.0.0.5:8900, http://10.0.0.6:8900", "jupyter_server_config"]
    assert kernel["QWEN3FT_MAX_SPEED"] == ["20000000", "jupyter_server_config"]
    assert kernel["HF_ENDPOINT"] == ["https://mirror.example", "jupyter_server_config"]


@pytest.mark.parametrize(
    ("trait", "variable"),
    [
        ({"quota": "much"}, "MODEL_CACHE_QUOTA"),
        ({"max_speed": "fast"}, "QWEN3FT_MAX_SPEED"),
        ({"mirrors": ["ftp://x"]}, "QWEN3FT_MIRRORS"),
    ],
)
def test_a_trait_that_makes_no_sense_is_named(
    tmp_path: Path, unset: None, trait: dict[str, Any], variable: str
) -> None:
    with pytest.raises(BadSetting, match=variable):
        serving(tmp_path / "root", **trait).build_manager()


def test_a_trait_that_is_not_accepted_is_logged_and_not_published(tmp_path: Path, unset: None) -> None:
    app = serving(tmp_path / "root", hf_endpoint="https://me:hunter2@mirror.example")

    app.publish()

    assert "hunter2" not in str(os.environ)
    with pytest.raises(BadSetting, match="HF_ENDPOINT"):
        app.build_manager()


async def test_a_server_publishes_as_it_starts(jp_serverapp: Any) -> None:
    assert os.environ["QWEN3FT_SERVER_ROOT"] == jp_serverapp.root_dir


def test_kernels_are_told_where_the_language_is_set(
    tmp_path: Path, unset: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(tmp_path / "settings"))

    serving(tmp_path / "root").publish()

    user_file, all_file = os.environ["QWEN3FT_LAB_SETTINGS"].split(os.pathsep)
    assert user_file.startswith(str(tmp_path / "settings"))
    assert all_file.endswith("overrides.json")


def test_the_real_manager_gets_the_traits_and_the_servers_root(tmp_path: Path, unset: None) -> None:
    app = serving(tmp_path / "root", model_cache_dir=str(tmp_path / "models"), state_dir=str(tmp_path / "state"))
    (tmp_path / "root" / ".env").write_text("USE_MODELSCOPE=no\n")

    settings = app.build_manager().settings

    assert settings.cache_dir == tmp_path / "models"
    assert settings.use_modelscope is False
