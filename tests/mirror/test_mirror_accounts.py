"""The token, in every way that clients show one, and what people read when it is missing or wrong."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import AccessDenied
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.mirror.conftest import EXPECTED, FILES, REPO, ask, digests, fill, sha256
from tests.mirror.test_mirror_clients import BIN, TOKEN, environment, hubs_of, run, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.settings.declared import HubName

CONFIG_HF = f"/{REPO}/resolve/main/config.json"
CONFIG_MS = f"/api/v1/models/{REPO}/repo?Revision=master&FilePath=config.json"
MISSING = "asks for the token that `qwen3ft mirror` printed"
WRONG = "made anew at each start"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mirror]:
    with Mirror({REPO: fill(tmp_path / "model", FILES)}, token=TOKEN) as running:
        yield running


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic("anyone", TOKEN), 200),
        (basic(TOKEN, ""), 200),
        ({"Authorization": f"bearer {TOKEN}"}, 200),
        ({"Authorization": f"Bearer  {TOKEN} "}, 200),
        ({"Authorization": "Bearer wrong", "Cookie": f"m_session_id={TOKEN}"}, 200),
        (basic(TOKEN, "wrong"), 401),
        (basic("", ""), 401),
        ({"Authorization": "Basic ???"}, 401),
        ({"Authorization": "Basic /////w=="}, 401),
        ({"Authorization": f"Digest {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": "Bearer \u00ff"}, 401),
        ({"Cookie": "m_session_id"}, 401),
        ({"Cookie": ";;=;\u00ff"}, 401),
    ],
)
@pytest.mark.parametrize("target", [CONFIG_HF, CONFIG_MS])
def test_a_token_is_taken_from_a_header_a_password_or_a_cookie(
    guarded: Mirror, target: str, headers: dict[str, str], status: int
) -> None:
    assert ask(guarded.url, target, method="GET", body=None, **headers).status == status


@pytest.mark.parametrize("target", [CONFIG_HF, CONFIG_MS, "/", "/nothing", f"/{REPO}.git/info/refs", "/api/whoami-v2"])
@pytest.mark.parametrize(("headers", "words"), [({}, MISSING), ({"Authorization": "Bearer wrong"}, WRONG)])
def test_a_refusal_says_what_to_do_and_challenges(
    guarded: Mirror, target: str, headers: dict[str, str], words: str
) -> None:
    answer = ask(guarded.url, target, method="GET", body=None, **headers)
    body = json.loads(answer.body)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert words in (body.get("error") or body["Message"])
    assert TOKEN not in str(answer)
    assert "wrong" not in str(answer)


@pytest.mark.parametrize(("token", "words"), [("", MISSING), ("wrong", WRONG)])
@pytest.mark.parametrize(
    "command", [["hf", "download", REPO], ["hf", "download", REPO, "config.json"], ["modelscope", "download", REPO]]
)
def test_commands_show_people_what_is_wrong_with_their_token(
    tmp_path: Path, guarded: Mirror, command: list[str], token: str, words: str
) -> None:
    env = environment(tmp_path, guarded, **({"HF_TOKEN": token, "MODELSCOPE_API_TOKEN": token} if token else {}))

    done = run([str(BIN / command[0]), *command[1:]], env)

    assert done.returncode != 0
    assert words in " ".join((done.stdout + done.stderr).split())


def test_transformers_shows_what_is_wrong_with_a_token(tmp_path: Path, guarded: Mirror) -> None:
    code = f"""
import json
from transformers import AutoConfig
try:
    AutoConfig.from_pretrained({REPO!r})
except OSError as error:
    print(json.dumps(str(error)))
"""
    assert WRONG in run_python(code, environment(tmp_path, guarded, HF_TOKEN="wrong"))
    assert MISSING in run_python(code, environment(tmp_path, guarded))


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_our_own_client_names_the_token(guarded: Mirror, name: HubName) -> None:
    for token in (None, "wrong"):
        with pytest.raises(AccessDenied, match=r"(?i)token|refuse"):
            hubs_of(guarded, token)[name].listing(parse_repo_id(REPO))


def test_hf_logs_in_once_and_downloads(tmp_path: Path, guarded: Mirror) -> None:
    hf, env = str(BIN / "hf"), environment(tmp_path, guarded)

    login = run([hf, "auth", "login", "--token", TOKEN], env)
    who = run([hf, "auth", "whoami"], env)
    got = run([hf, "download", REPO, "--local-dir", str(tmp_path / "got")], env)
    wrong = run([hf, "auth", "login", "--token", "wrong"], env)

    assert [login.returncode, who.returncode, got.returncode] == [0, 0, 0], login.stderr
    assert "qwen3ft-mirror" in who.stdout
    assert digests(tmp_path / "got") == EXPECTED
    assert wrong.returncode != 0


def test_modelscope_logs_in_once_and_downloads(tmp_path: Path, guarded: Mirror) -> None:
    modelscope, env = str(BIN / "modelscope"), environment(tmp_path, guarded)

    login = run([modelscope, "login", "--token", TOKEN], env)
    got = run([modelscope, "download", REPO, "--local_dir", str(tmp_path / "got")], env)
    wrong = run([modelscope, "login", "--token", "wrong"], env)

    assert [login.returncode, got.returncode] == [0, 0], login.stderr + got.stderr
    assert digests(tmp_path / "got") == EXPECTED
    assert wrong.returncode != 0
    assert WRONG in wrong.stdout + wrong.stderr


def test_modelscopes_login_hands_out_the_cookie_that_its_older_clients_keep(guarded: Mirror) -> None:
    body = json.dumps({"AccessToken": TOKEN}).encode()
    answer = ask(guarded.url, "/api/v1/login", method="POST", body=body)
    data = json.loads(answer.body)["Data"]
    cookie = answer.headers["set-cookie"].partition(";")[0]

    assert (data["AccessToken"], data["Username"]) == (TOKEN, "qwen3ft-mirror")
    assert ask(guarded.url, CONFIG_MS, Cookie=cookie).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"AccessToken": "wrong"}', 401),
        (b'{"AccessToken": null}', 401),
        (b'{"AccessToken": {}}', 401),
        (b"[]", 401),
        (b"{", 401),
        (b"", 401),
        (b"[" * 100_000, 401),
    ],
)
def test_a_login_without_the_token_is_none(guarded: Mirror, body: bytes, status: int) -> None:
    assert ask(guarded.url, "/api/v1/login", method="POST", body=body).status == status


@pytest.mark.parametrize("token", ["x\r\nSet-Cookie: planted=1", "x; Path=/elsewhere", "\u00ff", "", "y" * 600])
def test_a_mirror_without_a_token_plants_no_header_for_a_client(mirror: Mirror, token: str) -> None:
    body = json.dumps({"AccessToken": token}).encode()
    answer = ask(mirror.url, "/api/v1/login", method="POST", body=body)

    assert (answer.status, "set-cookie" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    "command", ["curl -fsS -u any:{token} -o {out}", "wget -q --user any --password {token} -O {out}"]
)
def test_commands_that_know_passwords_show_it_as_one(tmp_path: Path, guarded: Mirror, command: str) -> None:
    words = command.format(token=TOKEN, out=tmp_path / "got").split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"needs {words[0]}")

    subprocess.run([*words, f"{guarded.url}/{REPO}/resolve/main/model.safetensors"], check=True, timeout=120)

    assert sha256((tmp_path / "got").read_bytes()) == EXPECTED["model.safetensors"]
