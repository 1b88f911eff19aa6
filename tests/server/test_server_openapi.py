"""openapi.yaml and the code say the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import pytest
from openapi_spec_validator import validate

from qwen3ft_jupyter.cache.models import ModelOwner
from qwen3ft_jupyter.cache.others.places import Owner
from qwen3ft_jupyter.download.plan import Action, DownloadPlan, PlannedFile
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.download.room import Volume
from qwen3ft_jupyter.download.survey import Found
from qwen3ft_jupyter.faces.verbs import OTHER_OWNERS
from qwen3ft_jupyter.faces.views import ACTIONS, OWNERS
from qwen3ft_jupyter.finetune.fit import Fits
from qwen3ft_jupyter.finetune.samples import Basis
from qwen3ft_jupyter.hubs.listing import Listing
from qwen3ft_jupyter.hubs.names import RepoId
from qwen3ft_jupyter.jobs.state import JobState
from qwen3ft_jupyter.server.app import ROUTES
from qwen3ft_jupyter.settings.declared import SOURCE_NAMES
from qwen3ft_jupyter.work import Progress
from tests.server.asking import OPENAPI, Route, every_route
from tests.server.standin import PREVIEW, fine_tune_plan, plan_dict

KINDS = {"integer": {"count"}, "Flag": {"flag"}, "string": {"text", "list", "config"}, "OtherOwner": {"text"}}
VERBS = {"get", "post", "put", "patch", "delete"}


def test_it_is_valid_openapi() -> None:
    validate(OPENAPI)


def test_it_has_every_route_and_verb_of_the_code_and_no_other() -> None:
    written = {(verb, path) for path, item in OPENAPI["paths"].items() for verb in set(item) & VERBS}

    assert written == {(verb, template) for verb, template, _ in every_route()}


def test_paths_that_match_each_other_stand_in_the_order_of_the_code() -> None:
    templates = [template for template, _ in ROUTES]

    assert templates.index("/models/cache/all") < templates.index("/models/cache/{slug}")
    assert list(OPENAPI["paths"]) == templates


@pytest.mark.parametrize("route", every_route())
def test_every_operation_is_named_and_explained(route: Route) -> None:
    operation = OPENAPI["paths"][route.template][route.verb]

    assert operation["operationId"]
    assert operation["summary"].endswith(".")
    assert "default" in operation["responses"]


@pytest.mark.parametrize("route", every_route())
def test_every_operation_takes_what_the_code_takes(route: Route) -> None:
    taken = dict(ROUTES)[route.template].accepts.get(route.verb.upper(), ())
    described = OPENAPI["paths"][route.template][route.verb].get("parameters", [])

    assert [parameter["name"] for parameter in described] == [field.name for field in taken]
    for field, parameter in zip(taken, described, strict=True):
        schema = parameter["schema"]
        assert field.kind in KINDS[schema.get("type") or schema["$ref"].rpartition("/")[2]]


def test_the_download_takes_the_same_in_the_query_and_in_the_body() -> None:
    operation = OPENAPI["paths"]["/models/download"]["post"]
    names = {parameter["name"] for parameter in operation["parameters"]}

    assert set(OPENAPI["components"]["schemas"]["DownloadRequest"]["properties"]) == names


def test_a_jobs_states_and_progress_are_those_of_the_code() -> None:
    schemas = OPENAPI["components"]["schemas"]

    assert schemas["Job"]["properties"]["state"]["enum"] == list(get_args(JobState))
    assert set(schemas["Progress"]["required"]) == {*Progress.__slots__, "phase_words", "unit_words"}


def test_the_plan_is_that_of_the_code() -> None:
    schema = OPENAPI["components"]["schemas"]["DownloadPlan"]
    listing = Listing(RepoId("me/mine"), "modelscope", "master", "c" * 40, ())
    plan = DownloadPlan(DownloadRequest(RepoId("me/mine")), listing, Path(), Found(()), Volume(0, 0, None, (), 0.0))

    assert set(schema["properties"]) == set(schema["required"]) == set(plan.to_dict()) == set(plan_dict("me/mine"))
    file = schema["properties"]["files"]["items"]
    assert set(file["properties"]) == {field.name for field in dataclasses.fields(PlannedFile)}
    assert file["properties"]["action"]["enum"] == list(get_args(Action)) == list(ACTIONS)


def test_a_look_ahead_at_a_fine_tune_is_that_of_the_code() -> None:
    schemas = OPENAPI["components"]["schemas"]
    plan = fine_tune_plan().to_dict()
    memory, preview = plan["memory"], PREVIEW.to_dict()

    for name, told in (
        ("FineTunePlan", plan),
        ("PlannedData", plan["data"]),
        ("PlannedTokens", plan["tokens"]),
        ("PlannedSteps", plan["steps"]),
        ("PlannedMemory", memory),
        ("PlannedDisk", plan["disk"]),
        ("Preview", preview),
    ):
        assert list(schemas[name]["required"]) == list(schemas[name]["properties"]) == list(told)
    assert set(schemas["PlannedMemory"]["properties"]["changes"]["items"]["properties"]) == set(memory["changes"][0])
    assert schemas["Fits"]["enum"] == list(get_args(Fits))
    assert schemas["Basis"]["enum"] == list(get_args(Basis))


def test_owners_and_sources_are_those_of_the_code() -> None:
    schemas = OPENAPI["components"]["schemas"]

    assert schemas["Cached"]["properties"]["owner"]["enum"] == list(get_args(ModelOwner)) == list(OWNERS)
    assert schemas["OtherOwner"]["enum"] == list(get_args(Owner)) == list(OTHER_OWNERS)
    assert schemas["Source"]["enum"] == list(SOURCE_NAMES)
