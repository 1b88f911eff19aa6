from __future__ import annotations

import os
import pickle
from pathlib import Path

import platformdirs
import pytest

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.settings import SETTINGS, Secret, Settings, load_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any login or config, in a working folder of their own."""
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda name: str(tmp_path / "config" / name))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "config" / "qwen3ft").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    return tmp_path


def load(home: Path, **environ: str) -> Settings:
    return load_settings(environ=environ, working_folder=home / "work")


def test_modelscope_is_the_default_hub_and_hugging_face_the_other(home: Path) -> None:
    settings = load(home)

    assert settings.use_modelscope
    assert settings.hubs == ("modelscope", "huggingface")
    assert settings.origins["use_modelscope"] == "default"


@pytest.mark.parametrize("text", ["True", "true", "1", "yes", "ON", " true "])
def test_true_is_written_in_many_ways(home: Path, text: str) -> None:
    assert load(home, USE_MODELSCOPE=text).use_modelscope is True


@pytest.mark.parametrize("text", ["False", "0", "no", "OFF"])
def test_false_is_written_in_many_ways(home: Path, text: str) -> None:
    assert load(home, USE_MODELSCOPE=text).hubs == ("huggingface", "modelscope")


def test_a_bad_value_names_the_variable_the_value_and_what_is_accepted(home: Path) -> None:
    with pytest.raises(BadSetting) as caught:
        load(home, USE_MODELSCOPE="maybe")

    assert "USE_MODELSCOPE='maybe'" in caught.value.message
    assert "true, 1, yes, on" in caught.value.hint


@pytest.mark.parametrize("text", ["ftp://hub.example", "https://user:hunter2@hub.example", "https://", "http://a b"])
def test_a_bad_endpoint_is_refused_without_repeating_it(home: Path, text: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load(home, HF_ENDPOINT=text)

    assert "HF_ENDPOINT" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_bare_host_is_taken_as_https(home: Path) -> None:
    assert load(home, MODELSCOPE_ENDPOINT="hub.example/").modelscope_endpoint == "https://hub.example"


@pytest.mark.parametrize("text", ["0", "65", "many"])
def test_connections_out_of_range_are_refused(home: Path, text: str) -> None:
    with pytest.raises(BadSetting, match="QWEN3FT_MAX_CONNECTIONS"):
        load(home, QWEN3FT_MAX_CONNECTIONS=text)


def test_order_is_argument_environment_config_folder_working_folder_traits_default(home: Path) -> None:
    (home / "work" / ".env").write_text("MODEL_CACHE_DIR=/from/work\n")
    traits = {"cache_dir": "/from/traits"}
    places: dict[str, str] = {}

    def found(overrides: dict[str, str] | None = None, environ: dict[str, str] | None = None) -> str:
        settings = load_settings(overrides, environ=environ or {}, working_folder=home / "work", traits=traits)
        return f"{settings.cache_dir.as_posix()} {settings.origins['cache_dir']}"

    places["work"] = found()
    (home / "config" / "qwen3ft" / ".env").write_text("MODEL_CACHE_DIR=/from/config\n")
    places["config"] = found()
    places["environment"] = found(environ={"MODEL_CACHE_DIR": "/from/environment"})
    places["argument"] = found({"cache_dir": "/from/argument"}, {"MODEL_CACHE_DIR": "/from/environment"})
    (home / "config" / "qwen3ft" / ".env").unlink()
    (home / "work" / ".env").unlink()
    places["traits"] = found()

    assert places == {
        "work": "/from/work .env in the working folder",
        "config": "/from/config .env in your config folder",
        "environment": "/from/environment environment (MODEL_CACHE_DIR)",
        "argument": "/from/argument argument",
        "traits": "/from/traits jupyter_server_config",
    }


def test_env_files_may_hold_comments_quotes_and_exports(home: Path) -> None:
    (home / "config" / "qwen3ft" / ".env").write_text(
        "# mine\n"
        "export USE_MODELSCOPE = 'no'   # Hugging Face here\n"
        'MODEL_CACHE_DIR="/data/my models" # big disk\n'
        "QWEN3FT_OFFLINE=on\n"
    )

    settings = load(home)

    assert (settings.use_modelscope, settings.cache_dir.as_posix(), settings.offline) == (
        False,
        "/data/my models",
        True,
    )


def test_the_working_folder_may_set_two_things_and_that_is_announced(home: Path) -> None:
    (home / "work" / ".env").write_text("USE_MODELSCOPE=false\nMODEL_CACHE_DIR=/data/models\n")

    settings = load(home)

    assert settings.notices == (
        "USE_MODELSCOPE comes from the .env file in the working folder.",
        "MODEL_CACHE_DIR comes from the .env file in the working folder.",
    )


def test_a_cloned_repository_cannot_redirect_a_token(home: Path) -> None:
    """A stranger's .env names an endpoint and asks for our token: neither is taken (CVE-2026-21852)."""
    (home / "work" / ".env").write_text(
        "HF_ENDPOINT=https://evil.example\nHF_TOKEN=theirs\nMODEL_CACHE_DIR=/tmp/${HF_TOKEN}\n"
    )

    settings = load(home, HF_TOKEN="mine")

    assert settings.hf_endpoint == "https://huggingface.co"
    assert settings.hf_token is not None
    assert settings.hf_token.reveal() == "mine"
    assert "mine" not in str(settings.cache_dir)


def test_a_stored_login_is_not_sent_to_a_mirror(home: Path) -> None:
    (home / "hf").mkdir()
    (home / "hf" / "token").write_text("hf_stored")

    assert load(home, HF_HOME=str(home / "hf")).hf_token == Secret("hf_stored")
    assert load(home, HF_HOME=str(home / "hf"), HF_ENDPOINT="https://mirror.example").hf_token is None


def test_secrets_print_as_stars_and_are_not_pickled(home: Path) -> None:
    settings = load(home, HF_TOKEN="hf_made_up", MODELSCOPE_API_TOKEN="ms_made_up")

    assert "made_up" not in f"{settings!r} {settings.hf_token} {settings.shareable()}"
    with pytest.raises(TypeError):
        pickle.dumps(settings.hf_token)


def test_what_is_shared_with_a_job_gives_the_same_settings(home: Path) -> None:
    settings = load(
        home, MODEL_CACHE_SHARED_DIRS=os.pathsep.join(["/nas/a", "/nas/b"]), HF_ENDPOINT="http://127.0.0.1:9"
    )

    again = load_settings(settings.shareable(), environ={}, working_folder=home / "work")

    assert again.shareable() == settings.shareable()
    assert [folder.as_posix() for folder in again.shared_dirs] == ["/nas/a", "/nas/b"]


def test_an_unknown_argument_is_named(home: Path) -> None:
    with pytest.raises(BadSetting, match="'cachedir' is no setting"):
        load_settings({"cachedir": "/data"}, environ={}, working_folder=home / "work")


def test_every_setting_has_a_field_and_a_help_text() -> None:
    fields = set(Settings.__dataclass_fields__) - {"origins", "notices"}

    assert {setting.name for setting in SETTINGS} == fields
    assert all(setting.help.endswith(".") for setting in SETTINGS)
