from __future__ import annotations

import os
import pickle
from pathlib import Path

import platformdirs
import pytest

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.setting_list import parse_bytes
from qwen3ft_jupyter.settings import SETTINGS, STRANGERS_ORIGINS, Secret, Settings, load_settings, to_publish


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


def test_a_cloned_repository_cannot_redirect_a_token(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's .env names an endpoint and asks for our token: neither is taken (CVE-2026-21852)."""
    monkeypatch.setenv("HF_TOKEN", "mine")
    (home / "work" / ".env").write_text(
        "HF_ENDPOINT=https://evil.example\nHF_TOKEN=theirs\nMODEL_CACHE_DIR=/tmp/${HF_TOKEN}\n"
    )

    settings = load(home, HF_TOKEN="mine")

    assert settings.hf_endpoint == "https://huggingface.co"
    assert settings.hf_token is not None
    assert settings.hf_token.reveal() == "mine"
    assert settings.cache_dir.as_posix() == "/tmp/${HF_TOKEN}"  # noqa: S108 - nothing is written there
    assert load_settings(settings.shareable(), environ={}).cache_dir == settings.cache_dir  # in a job, too


def test_the_users_own_folders_may_hold_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISK", "/big")
    (home / "config" / "qwen3ft" / ".env").write_text("MODEL_CACHE_DIR=$DISK/models\n")

    settings = load(home, MODEL_CACHE_SHARED_DIRS=os.pathsep.join(["$DISK/a", "~/b"]))

    assert settings.cache_dir == Path("/big/models").absolute()
    assert settings.shared_dirs == (Path("/big/a").absolute(), Path("~/b").expanduser())


def test_the_servers_root_comes_after_the_working_folder_and_sets_the_same_two_things(home: Path) -> None:
    (home / "work" / ".env").write_text("USE_MODELSCOPE=false\n")
    (home / "root").mkdir()
    (home / "root" / ".env").write_text("USE_MODELSCOPE=true\nMODEL_CACHE_DIR=models\nHF_TOKEN=theirs\n")

    settings = load(home, QWEN3FT_SERVER_ROOT=str(home / "root"))

    assert (settings.use_modelscope, settings.origins["use_modelscope"]) == (False, ".env in the working folder")
    assert settings.cache_dir == home / "root" / "models"  # relative to the file, wherever the notebook lies
    assert settings.origins["cache_dir"] == ".env in the server's root"
    assert settings.hf_token is None
    assert "MODEL_CACHE_DIR comes from the .env file in the server's root." in settings.notices


def test_the_working_folder_that_is_the_servers_root_is_named_as_the_root(home: Path) -> None:
    (home / "work" / ".env").write_text("USE_MODELSCOPE=false\n")

    settings = load(home, QWEN3FT_SERVER_ROOT=str(home / "work"))

    assert settings.origins["use_modelscope"] in STRANGERS_ORIGINS
    assert settings.notices == ("USE_MODELSCOPE comes from the .env file in the server's root.",)


def test_what_a_server_publishes_are_defaults_and_no_tokens(home: Path) -> None:
    published = to_publish({"offline": True, "shared_dirs": ["/a", "/b"], "hf_token": "hf_made_up"}, home)

    settings = load(home, **published, QWEN3FT_DEFAULT_HF_TOKEN="hf_made_up")

    assert (settings.offline, settings.origins["offline"]) == (True, "jupyter_server_config")
    assert len(settings.shared_dirs) == 2
    assert settings.hf_token is None
    assert "hf_made_up" not in str(published)
    assert load(home, **published, QWEN3FT_OFFLINE="no").offline is False


@pytest.mark.parametrize("place", ["work", "config/qwen3ft"])
def test_an_env_file_that_is_not_utf8_is_ignored_and_that_is_said(home: Path, place: str) -> None:
    (home / place / ".env").write_bytes("MODEL_CACHE_DIR=/数据\n".encode("gbk"))

    settings = load(home)

    assert settings.origins["cache_dir"].startswith("default")
    words = "the working folder" if place == "work" else "your config folder"
    assert settings.notices == (f"The .env file in {words} is not UTF-8 and is ignored: save it as UTF-8.",)


def test_a_byte_order_mark_is_no_part_of_a_name(home: Path) -> None:
    """Windows' editor puts one into what it calls UTF-8."""
    (home / "work" / ".env").write_bytes("USE_MODELSCOPE=false\n".encode("utf-8-sig"))

    assert load(home).use_modelscope is False


def test_a_deleted_working_folder_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = home / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert load_settings(environ={}).use_modelscope is True
    with pytest.raises(BadSetting, match="has been deleted"):
        load_settings({"cache_dir": "models"}, environ={})


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


def test_what_a_working_folder_may_not_set_is_said_to_be_ignored(home: Path) -> None:
    (home / "work" / ".env").write_text("HF_ENDPOINT=https://mirror.example\n")

    settings = load(home)

    assert settings.hf_endpoint == "https://huggingface.co"
    assert settings.notices == (
        "HF_ENDPOINT in the .env file in the working folder is ignored: only your own .env file may set it.",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200GB", 200 * 10**9),
        ("1.5 TB", 1_500_000_000_000),
        ("2GiB", 2 << 30),
        ("20MB/s", 20_000_000),
        ("512k", 512_000),
        ("1000", 1000),
        ("none", None),
        ("0", None),
        (4096, 4096),
    ],
)
def test_sizes_are_read_as_people_write_them(text: object, expected: int | None) -> None:
    assert parse_bytes("MODEL_CACHE_QUOTA", text) == expected


@pytest.mark.parametrize("text", ["many", "-5GB", "5 parsecs", "GB", "1e9", "nan"])
def test_what_is_no_size_names_the_variable(text: str) -> None:
    with pytest.raises(BadSetting, match="MODEL_CACHE_QUOTA"):
        parse_bytes("MODEL_CACHE_QUOTA", text)


def test_a_mirrors_token_is_for_its_own_host_alone() -> None:
    settings = load_settings(
        {"mirrors": "10.0.0.5:8900 https://hf-mirror.com", "mirror_tokens": "10.0.0.5:8900=s3cret"}, environ={}
    )
    assert settings.mirrors == ("https://10.0.0.5:8900", "https://hf-mirror.com")
    assert settings.mirror_token("10.0.0.5:8900") == "s3cret"
    assert settings.mirror_token("hf-mirror.com") is None
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings.shareable())


def test_a_limit_switched_off_stays_off_in_a_job() -> None:
    settings = load_settings({"max_speed": "none"}, environ={"QWEN3FT_MAX_SPEED": "20MB"})
    assert settings.max_speed is None
    assert load_settings(settings.shareable(), environ={"QWEN3FT_MAX_SPEED": "20MB"}).max_speed is None
