"""An error says what and what to do, with a fitting status; it never says where on this machine, or a secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter import errors
from qwen3ft_jupyter.server.base import STATUS_OF, status_of
from tests.faults.scarcity import limit_threads
from tests.server.standin import NAME

if TYPE_CHECKING:
    from qwen3ft_jupyter.server.app import Qwen3FTApp
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

CLASSES = [cls for cls in errors.error_classes() if cls.__module__ == "qwen3ft_jupyter.errors"]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
async def test_each_error_keeps_its_code_and_has_a_status(
    ask: Ask, manager: StandInManager, cls: type[errors.Qwen3ftError]
) -> None:
    manager.failure = cls("What failed.", hint="What to do.", details={"folder": "/home/me/secret"})

    answer = await ask("get", "/models")

    assert answer.code == status_of(manager.failure) >= 400
    assert answer.json == {"code": cls.code, "message": "What failed.", "hint": "What to do."}
    assert b"/home/me" not in answer.body


@pytest.mark.parametrize(
    ("cls", "status"),
    [
        (errors.BadName, 400),
        (errors.UnknownModel, 404),
        (errors.ModelNotFound, 404),
        (errors.HubUnreachable, 502),
        (errors.NoSpace, 507),
        (errors.ModelInUse, 409),
        (errors.NotCached, 404),
        (errors.JobNotFound, 404),
        (errors.WrongJobState, 409),
        (errors.LoadError, 422),
        (errors.UnsafeModel, 422),
        (errors.DoesNotFit, 409),
        (errors.JobFailed, 500),
    ],
)
def test_the_status_says_whose_turn_it_is(cls: type[errors.Qwen3ftError], status: int) -> None:
    assert status_of(cls("x")) == status


def test_an_error_of_a_later_version_has_its_parents_status() -> None:
    later = type("Later", (errors.JobNotFound,), {"code": "later"})

    assert status_of(later("x")) == STATUS_OF[errors.JobNotFound]


async def test_a_surprise_is_told_to_the_log_and_not_to_the_browser(
    ask: Ask, manager: StandInManager, caplog: pytest.LogCaptureFixture
) -> None:
    manager.failure = ZeroDivisionError("/home/me/models has token hf_abc")

    with caplog.at_level(logging.ERROR):
        answer = await ask("get", "/models", query="_xsrf=not-in-the-log")

    assert answer.code == 500
    assert answer.json["code"] == "error"
    assert b"/home/me" not in answer.body
    assert b"hf_abc" not in answer.body
    assert b"Traceback" not in answer.body
    assert "ZeroDivisionError" in caplog.text
    assert not any(
        "not-in-the-log" in record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR
    )


async def test_a_setting_that_is_wrong_is_told_until_it_is_mended(
    ask: Ask, app: Qwen3FTApp, manager: StandInManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> StandInManager:
        raise errors.BadSetting("USE_MODELSCOPE='perhaps' is neither true nor false.", hint="Accepted: true, false.")

    monkeypatch.setattr(app.access, "_build", fail)
    wrong = await ask("get", "/status")
    monkeypatch.setattr(app.access, "_build", lambda: manager)
    mended = await ask("get", "/status")

    assert (wrong.code, wrong.json["code"]) == (500, "bad-setting")
    assert "USE_MODELSCOPE" in wrong.json["message"]
    assert mended.code == 200


async def test_an_error_while_something_is_changed_is_answered_too(ask: Ask, manager: StandInManager) -> None:
    manager.failure = errors.ModelInUse(f"{NAME} is used by the running job x.", hint="Stop the job first.")

    answer = await ask("delete", "/models/cache/all")

    assert (answer.code, answer.json["code"]) == (409, "model-in-use")


async def test_where_the_system_has_no_thread_the_server_says_that_it_is_busy_and_goes_on(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        limit_threads(patch, 0)
        refused = await ask("get", "/models")
    answer = await ask("get", "/models")

    assert (refused.code, refused.json["code"]) == (503, "server-busy")
    assert answer.code == 200
