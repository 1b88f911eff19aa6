from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.manager.overview import describe
from qwen3ft_jupyter.server.app import Qwen3FTApp
from qwen3ft_jupyter.settings.declared import FOLDER_ORIGIN, SETTINGS, STRANGERS_ORIGINS, Settings, declared_settings
from qwen3ft_jupyter.settings.kinds import (
    ADDRESS,
    ADDRESSES,
    CONNECTIONS,
    FLAG,
    FOLDER,
    FOLDERS,
    SIZE,
    Kind,
    Secret,
    parse_bytes,
)
from qwen3ft_jupyter.settings.places import load_settings, to_publish
from qwen3ft_jupyter.settings.setting import Before, Setting, setting

POSIX = pytest.mark.skipif(os.name == "nt", reason="there it is a path")


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


def link_in_a_circle(path: Path) -> None:
    path.symlink_to(path.name)


def fill_without_end(path: Path) -> None:
    path.write_bytes(b"A=1\n" * 300_000)


@POSIX
@pytest.mark.parametrize(
    ("make", "reason"),
    [(link_in_a_circle, "Too many levels of symbolic links"), (fill_without_end, "File too large")],
)
def test_an_env_file_that_cannot_be_read_is_ignored_and_that_is_said(home: Path, make: Any, reason: str) -> None:
    make(home / "work" / ".env")

    assert load(home).notices == (f"The .env file in the working folder cannot be read and is ignored: {reason}.",)


@POSIX
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a virtual environment", "a pipe"])
def test_what_is_called_so_and_is_no_file_is_none(home: Path, make: Any) -> None:
    make(home / "work" / ".env")

    assert load(home).notices == ()


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


def test_a_new_setting_is_one_field() -> None:
    @dataclass(frozen=True, kw_only=True)
    class More(Settings):
        is_loud: bool = setting("QWEN3FT_LOUD", FLAG, "Say more.", default=False)

    (added,) = declared_settings(More)[len(SETTINGS) :]

    assert (added.name, added.trait_name, added.variable) == ("is_loud", "is_loud", "QWEN3FT_LOUD")
    assert added.read("QWEN3FT_LOUD", "yes") is True
    assert added.default(Before({}, {})) == (False, "default")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.variable)
def test_all_that_knows_settings_knows_each(home: Path, setting: Setting) -> None:
    """Arguments, environment, .env files, a server's configuration, jobs, and the list that people are shown."""
    examples: list[tuple[Kind[object], str]] = [
        (FLAG, "no"),
        (FOLDER, "/data"),
        (FOLDERS, "/data"),
        (SIZE, "20MB"),
        (CONNECTIONS, "3"),
        (ADDRESS, "http://10.0.0.5"),
        (ADDRESSES, "http://10.0.0.5"),
    ]
    written = next((text for kind, text in examples if kind is setting.kind), "host=made-up")

    given = load_settings({setting.name: written}, environ={})
    from_environment = load(home, **{setting.variable: written})
    (home / "work" / ".env").write_text(f"{setting.variable}={written}\n")
    from_folder = load(home)

    assert from_environment.origins[setting.name] == f"environment ({setting.variable})"
    assert getattr(given, setting.name) == getattr(from_environment, setting.name)
    assert (from_folder.origins[setting.name] == FOLDER_ORIGIN) is (setting.name in {"use_modelscope", "cache_dir"})
    assert (setting.name in given.shareable()) is not setting.kind.is_secret
    assert (setting.variable in given.secrets_given()) is setting.kind.is_secret
    assert (setting.trait_name in Qwen3FTApp.class_own_traits(config=True)) is not setting.kind.is_secret
    assert setting.variable in {row.variable for row in describe(given).rows}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('"/data/m"', "quotation marks"),
        ("'/data/m'", "quotation marks"),
        ("“/data/m”", "quotation marks"),
        ("'/data/m", "quotation marks"),
        ("～/models", "a full-width character"),
        ("／data/models", "a full-width character"),
        pytest.param("%USERPROFILE%\\models", "a path of Windows", marks=POSIX),
        pytest.param("C:models", "a path of Windows", marks=POSIX),
        ("file:///x", "an address"),
        ("oss://bucket/x", "an address"),
        ("~nosuchuser/x", "nobody here has that home folder"),
        ("$QWEN3FT_NOT_SET/x", "no value here"),
        pytest.param("D:\\models", "a path of Windows", marks=POSIX),
        pytest.param("\\\\nas\\models", "a path of Windows", marks=POSIX),
    ],
)
@pytest.mark.parametrize("variable", ["MODEL_CACHE_DIR", "MODEL_CACHE_SHARED_DIRS", "QWEN3FT_STATE_DIR"])
def test_what_only_looks_like_a_folder_is_refused(home: Path, variable: str, text: str, what: str) -> None:
    """It would be a folder of that very name in whatever folder one happens to be."""
    with pytest.raises(BadSetting) as caught:
        load(home, **{variable: text})

    assert variable in caught.value.message
    assert text in caught.value.message.replace("\\\\", "\\")
    assert what in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["file:///x", "$NOT_SET/x", pytest.param("D:\\models", marks=POSIX)])
def test_what_only_looks_like_a_folder_is_refused_in_a_working_folder_too(home: Path, text: str) -> None:
    (home / "work" / ".env").write_text(f"MODEL_CACHE_DIR={text}\n")

    with pytest.raises(BadSetting, match="MODEL_CACHE_DIR"):
        load(home)


@pytest.mark.parametrize("name", ["《大模型》", "模型“新”", "it's", "a「b」"])
def test_quotation_marks_within_the_name_of_a_folder_are_part_of_it(home: Path, name: str) -> None:
    assert load(home, MODEL_CACHE_DIR=f"/mnt/{name}").cache_dir == Path(f"/mnt/{name}")


@pytest.mark.parametrize("text", ["/data/m”", "/data/m》", "/data/m“"])
def test_a_quotation_mark_that_is_left_over_is_no_part_of_it(home: Path, text: str) -> None:
    with pytest.raises(BadSetting, match="quotation marks"):
        load(home, MODEL_CACHE_DIR=text)


def test_a_token_in_quotation_marks_is_refused_without_repeating_it(home: Path) -> None:
    with pytest.raises(BadSetting, match="HF_TOKEN is written in quotation marks") as caught:
        load(home, HF_TOKEN="'hf_made_up'")

    assert "made_up" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://h.example/api",
        "h.example/api/v1/",
        "h.example/?x=1",
        "h.example/#a",
        "h.example?",
        "https://h.example/api/models",
        "https://h.example/hf/api/models/Qwen/X",
        "https://h.example/openapi/v1",
        "https://huggingface.co/Qwen/Qwen3-0.6B",
        "https://hf-mirror.com/Qwen",
        "https://www.modelscope.cn/models",
        "modelscope.cn/models/Qwen/Qwen3-0.6B/summary",
    ],
)
@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN", "QWEN3FT_MIRRORS"])
def test_a_route_of_a_hub_is_no_endpoint(home: Path, variable: str, text: str) -> None:
    with pytest.raises(BadSetting, match=f"{variable} is not the address of a hub, but") as caught:
        load(home, **{variable: text})

    assert "/api" in caught.value.hint
    assert load(home, **{variable: "https://h.example/hf"}).origins  # what the hint leaves


@pytest.mark.parametrize(
    "text",
    [
        "http:/h.example",
        "http:h.example",
        "http//h.example",
        "https://https://h.example",
        "//h.example",
        "https:///x",
        "http://h.example:80*",
        "http://h.example:",
        "http://:80",
        "http://h.example:0",
        "htps://h.example",
        "https:\\\\h.example",
        "https://h.example\\x",
        "https://..",
        "https://a..b",
        "https://-a.example",
        "https：//h.example",
        "https://me:hunter2@h.example",
        "https://me@h.example",
        "https://h.exam ple",
        "“https://h.example”",
        "https://h.example，",
        "https://h.example;",
        "https://h.example。",
        "https://h.example)",
        "<h.example>",
    ],
)
@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"])
def test_a_mistyped_endpoint_is_refused(home: Path, variable: str, text: str) -> None:
    with pytest.raises(BadSetting, match=f"{variable} is not the address of a hub") as caught:
        load(home, **{variable: text})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["none", "True", "0", "null", "off", "default"])
@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "QWEN3FT_MIRRORS"])
def test_a_word_for_no_address_is_not_looked_up_as_a_host(home: Path, variable: str, text: str) -> None:
    with pytest.raises(BadSetting, match=f"{variable} is not the address of a hub"):
        load(home, **{variable: text})


def test_a_host_of_such_a_name_can_be_written_whole(home: Path) -> None:
    assert load(home, HF_ENDPOINT="http://none").hf_endpoint == "http://none"


@pytest.mark.parametrize("text", [" https://h.example ", "https://h.example/", "https://h.example\n", "h.example"])
@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "MODELSCOPE_ENDPOINT"])
def test_blanks_around_an_endpoint_and_a_missing_scheme_are_forgiven(home: Path, variable: str, text: str) -> None:
    assert getattr(load(home, **{variable: text}), variable.lower()) == "https://h.example"


def test_a_repository_behind_an_api_of_its_own_is_an_endpoint(home: Path) -> None:
    """Artifactory serves Hugging Face's protocol below /artifactory/api/huggingfaceml/NAME."""
    url = "https://a.example/artifactory/api/huggingfaceml/hf"
    assert load(home, HF_ENDPOINT=url).hf_endpoint == url


def test_an_alias_is_named_in_an_error(home: Path) -> None:
    with pytest.raises(BadSetting, match="MODELSCOPE_DOMAIN"):
        load(home, MODELSCOPE_DOMAIN="ftp://x")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HF_HUB_OFFLINE": "1"}, True),
        ({"HF_HUB_OFFLINE": "ON"}, True),
        ({"TRANSFORMERS_OFFLINE": "yes"}, True),
        ({"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "1"}, True),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, False),
        ({"HF_HUB_OFFLINE": "2"}, False),
        ({"TRANSFORMERS_OFFLINE": "maybe"}, False),
        ({"QWEN3FT_OFFLINE": "no", "HF_HUB_OFFLINE": "1"}, False),
    ],
)
def test_offline_is_taken_as_transformers_takes_it(home: Path, environ: dict[str, str], *, expected: bool) -> None:
    code = "import huggingface_hub.constants as c; print(c.HF_HUB_OFFLINE)"
    bare = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    said = subprocess.run(
        [sys.executable, "-c", code], env={**bare, **environ}, capture_output=True, text=True, check=True
    ).stdout

    assert load(home, **environ).offline is expected
    assert "QWEN3FT_OFFLINE" in environ or said.strip() == str(expected)


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


@pytest.mark.parametrize("variable", ["MODEL_CACHE_QUOTA", "QWEN3FT_MAX_SPEED"])
@pytest.mark.parametrize(("text", "number"), [("200", 200), ("999", 999), ("20.0", 20), ("20/s", 20), (" 5 ", 5)])
def test_a_small_number_without_its_unit_is_asked_back(variable: str, text: str, number: int) -> None:
    with pytest.raises(BadSetting, match=f"{variable}.* would be {number} bytes") as caught:
        parse_bytes(variable, text)

    assert caught.value.hint == f"Write the unit, such as {number}GB or {number}MB."


@pytest.mark.parametrize("value", ["200 B/s", 200])
def test_a_small_number_with_its_unit_and_one_of_a_program_are_what_was_meant(value: object) -> None:
    settings = load_settings({"max_speed": value}, environ={})

    assert settings.max_speed == 200
    assert load_settings(settings.shareable(), environ={}).max_speed == 200


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
