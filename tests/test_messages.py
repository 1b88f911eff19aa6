from __future__ import annotations

import errno
import json
import os
import pickle

import pytest

from qwen3ft_jupyter.errors import BadInput, NotCached, error_from_json
from qwen3ft_jupyter.messages import (
    Command,
    Message,
    Names,
    Size,
    Texts,
    duration,
    from_json,
    reader,
    render,
    to_json,
    tr,
)

LEFT = Message("{time} left", time=duration(75))


def test_a_message_is_its_english_text() -> None:
    assert Message("{size} free", size=Size(1_500_000)) == "1.5 MB free"


def test_a_message_is_said_in_the_readers_language() -> None:
    assert render(LEFT, "en") == "1 min 15 s left"
    assert render(LEFT, "zh") == "剩余 1 min 15 s"


def test_a_fixed_text_is_looked_up_as_it_is() -> None:
    assert render("The cache is empty.", "zh") == "缓存为空。"


@pytest.mark.parametrize(
    "code", [errno.EACCES, errno.ENOSPC, errno.EIO, errno.ENOENT, errno.EMFILE, errno.ENAMETOOLONG]
)
def test_what_the_operating_system_says_is_said_in_the_readers_language(code: int) -> None:
    failed = Message("{name} cannot be read: {reason}.", name="x", reason=os.strerror(code))

    for message in (failed, from_json(to_json(failed))):
        assert os.strerror(code) in render(message, "en")
        assert os.strerror(code) not in render(message, "zh")


def test_a_text_without_translation_stays_english() -> None:
    assert render(Message("no such text {x}", x=1), "zh") == "no such text 1"


def test_a_message_within_a_message_is_said_in_the_same_language() -> None:
    outer = Message("{what}; and {rest:,} more", what=LEFT, rest=12_345)

    assert render(outer, "zh") == "剩余 1 min 15 s; and 12,345 more"


def test_each_face_writes_a_command_in_its_own_grammar() -> None:
    hint = Message("Download it: {command}", command=Command("download", "Qwen/Qwen3-0.6B"))

    assert hint == "Download it: %qwen3ft download Qwen/Qwen3-0.6B"
    assert (
        render(hint, "en", lambda command: "$ " + " ".join(command.words)) == "Download it: $ download Qwen/Qwen3-0.6B"
    )


def test_several_messages_are_said_one_by_one() -> None:
    both = Message("{parts}.", parts=Texts([LEFT, "The cache is empty."]))

    assert both == "1 min 15 s left; The cache is empty.."
    assert render(both, "zh") == "剩余 1 min 15 s；缓存为空。."


def test_sentences_in_a_row_have_no_space_after_a_full_stop_of_chinese() -> None:
    both = Message("{parts}", parts=Texts(["The cache is empty.", "", "The cache is empty."], " "))

    assert render(both, "en") == "The cache is empty. The cache is empty."
    assert render(both, "zh") == "缓存为空。缓存为空。"


def test_what_a_face_writes_for_a_command_is_said_too() -> None:
    hint = Message("Download it: {command}", command=Command("download", "a/b"))

    assert render(hint, "zh", lambda command: Message("Download {name}", name=command.words[1])) == "下载：下载 a/b"


@pytest.mark.parametrize(
    "message",
    [
        "fixed",
        LEFT,
        Message("{a} {b!r} {c:,}", a="x", b="y", c=12_345),
        Message("{names}: {command}", names=Names(["a", "b", "c", "d"]), command=Command("evict", "a")),
        Message("{size} {inner}", size=Size(5), inner=LEFT),
        Message("{parts}", parts=Texts([LEFT, "fixed"], ", ")),
    ],
)
def test_a_message_survives_json_and_pickle(message: str) -> None:
    again = from_json(json.loads(json.dumps(to_json(message))))

    assert (again, to_json(again)) == (message, to_json(message))
    assert to_json(pickle.loads(pickle.dumps(message))) == to_json(message)  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("what an older version wrote", "what an older version wrote"),
        (None, ""),
        (7, "7"),
        ({"template": "{missing} values", "values": {}}, "{missing} values"),
        ({"template": "{x.__class__}", "values": {"x": "y"}}, "{x.__class__}"),
        ({"template": "{x[0]}", "values": {"x": "y"}}, "{x[0]}"),
        ({"template": "{x", "values": {"x": "y"}}, "{x"),
        ({"template": "{x:>999999999}", "values": {"x": "y"}}, "{x:>999999999}"),
        ({"template": "{x:{y}}", "values": {"x": "y", "y": "9"}}, "{x:{y}}"),
        ({"template": "no values", "values": 3}, "no values"),
    ],
)
def test_what_others_wrote_is_shown_and_nothing_else_happens(data: object, expected: str) -> None:
    assert from_json(data) == expected


def test_an_error_fills_message_and_hint_from_the_same_values() -> None:
    error = NotCached("{name} is not in the cache.", name="a/b", hint="Get {name}.", details={"path": "x"})

    assert (error.message, error.hint) == ("a/b is not in the cache.", "Get a/b.")
    assert str(error) == "a/b is not in the cache. Get a/b."


def test_an_error_survives_json_with_its_template() -> None:
    error = NotCached("{name} is not in the cache.", name="a/b", hint="Try again.")

    again = error_from_json(json.loads(json.dumps(error.to_json())))

    assert type(again) is NotCached
    assert again.to_json() == error.to_json()
    assert again.to_dict("zh") == {"code": "not-cached", "message": "a/b 不在缓存中。", "hint": "请重试。"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh-Hans"}, "zh"),
        ({"LANG": "de_DE"}, "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN"}, "zh"),
        ({"QWEN3FT_LANG": "zh", "LC_ALL": "C"}, "zh"),
    ],
)
def test_the_usual_variables_choose_the_language(environ: dict[str, str], expected: str) -> None:
    assert reader(environ) == expected


def test_words_of_this_process_are_in_its_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh")

    assert tr("no such text {x}", x=1) == "no such text 1"
    assert tr("{time} left", time="3 s") == "剩余 3 s"


@pytest.mark.parametrize(
    "value",
    [
        "https://me:secret@host/x",
        "https://secret@host/x",
        "/home/me/https:/me:secret@host/x",
        "https://host/x?token=secret",
        "host/x?a=1&api_key=secret&b=2",
        "'s3://key:secret@bucket'",
    ],
)
def test_an_address_is_repeated_without_its_login_and_keys(value: str) -> None:
    error = BadInput(
        "{value} and {quoted!r} and {names}.", value=value, quoted=value, names=Names([value]), details={"path": value}
    )

    for told in (str(error), error.to_dict("zh"), error.to_json(), error.details):
        assert "secret" not in str(told)
        assert "***" in str(told)


@pytest.mark.parametrize("value", ["me@host", "C:/me@work/x", "a/b@v1", "https://hf.co/a/b@v1", "token=5", "16:/a"])
def test_what_is_no_login_stays(value: str) -> None:
    assert Message("{value}", value=value) == value
