from __future__ import annotations

import copy
import inspect

import qwen3ft_jupyter
from qwen3ft_jupyter.errors import Qwen3ftError, error_classes, error_from_json


def test_the_public_names_are_these() -> None:
    assert sorted(qwen3ft_jupyter.__all__) == [
        "CachedModel",
        "ChatForm",
        "FineTuneConfig",
        "FineTuneForm",
        "Job",
        "ModelManager",
        "ModelPicker",
        "Qwen3ftError",
        "__version__",
        "get_model_manager",
    ]


def test_every_public_name_can_be_had_and_is_described() -> None:
    for name in qwen3ft_jupyter.__all__:
        value = getattr(qwen3ft_jupyter, name)
        assert name == "__version__" or inspect.getdoc(value)


def test_the_manager_has_the_methods_its_users_know() -> None:
    known = {
        "ensure_model_cached",
        "load_model_and_tokenizer",
        "list_cached_models",
        "evict_model",
        "clear_cache",
        "download",
        "jobs",
        "verify",
        "pin",
        "describe",
        "fine_tune",
        "chat",
    }

    assert known <= set(dir(qwen3ft_jupyter.ModelManager))


def test_every_error_has_a_code_of_its_own_and_crosses_a_process_border() -> None:
    classes = [cls for cls in error_classes() if cls.__module__.startswith("qwen3ft_jupyter")]

    assert len({cls.code for cls in classes}) == len(classes)
    for cls in classes:
        error = error_from_json(cls("what failed", hint="what to do").to_dict())
        assert (type(error), error.message, error.hint) == (cls, "what failed", "what to do")
        assert str(error) == "what failed what to do"


def test_an_error_survives_pickling() -> None:
    error = copy.copy(Qwen3ftError("a", hint="b", details={"folder": "c"}))  # copies through __reduce__, as pickle does

    assert (error.message, error.hint, error.details) == ("a", "b", {"folder": "c"})
