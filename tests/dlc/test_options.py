"""What is submitted is settled, checked and shown before anything is submitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen3ft_jupyter.dlc.command import config_for_containers
from qwen3ft_jupyter.dlc.options import Endpoint, settle
from qwen3ft_jupyter.dlc.run import planned_spec, submission
from qwen3ft_jupyter.dlc.spec import MOST_BYTES
from qwen3ft_jupyter.errors import BadConfig, BadSetting
from qwen3ft_jupyter.finetune.config import FineTuneConfig


def test_all_that_is_missing_is_named_at_once_with_where_it_is_found(fields: dict[str, Any]) -> None:
    config = FineTuneConfig.from_dict({**fields, "dlc": {"vpc": "vpc-1"}})

    with pytest.raises(BadConfig, match=r"pai-dlc lacks 8 things") as caught:
        settle(config, {})

    for name in ("region", "workspace", "image", "mounts", "resource_id", "vpc and dlc.security_group"):
        assert f"dlc.{name}" in str(caught.value)
    assert "output_dir: run is on no mount" in str(caught.value)
    assert "data: train.jsonl is on no mount" in str(caught.value)


def test_a_dsw_instance_tells_region_and_workspace_and_the_config_wins(fields: dict[str, Any]) -> None:
    told = {"DSW_INSTANCE_ID": "dsw-1", "dsw_region": "cn-beijing", "PAI_WORKSPACE_ID": "9"}
    fields["dlc"] |= {"region": None, "workspace": None}
    config = FineTuneConfig.from_dict(fields)

    found = settle(config, told).dlc

    assert (found.region, found.workspace) == ("cn-beijing", "9")
    own = FineTuneConfig.from_dict({**fields, "dlc": {**fields["dlc"], "region": "cn-shanghai"}})
    assert settle(own, told).region == "cn-shanghai"
    with pytest.raises(BadConfig, match=r"lacks 2 things"):
        settle(config, {"dsw_region": "cn-beijing", "PAI_WORKSPACE_ID": "9"})


def test_a_resource_quota_needs_numbers(fields: dict[str, Any], model_folder: Path) -> None:
    fields |= {"device": "auto", "devices": "all"}
    fields["dlc"] |= {"ecs_spec": None, "resource_id": "quota1"}
    with pytest.raises(BadConfig, match=r"dlc\.cpus and dlc\.memory_gb.*devices as a number"):
        settle(FineTuneConfig.from_dict(fields), {})

    fields["devices"] = 8
    fields["dlc"] |= {"cpus": 96, "memory_gb": 800, "priority": 5, "max_hours": 1.5}
    config = FineTuneConfig.from_dict(fields)
    spec = submission(config, settle(config, {}), model_folder, job_id="J", number=1).spec

    assert spec["JobSpecs"][0]["ResourceConfig"] == {"CPU": "96", "Memory": "800Gi", "GPU": "8"}
    assert (spec["ResourceId"], spec["Priority"], spec["JobMaxRunningTimeMinutes"]) == ("quota1", 5, 90)


@pytest.mark.parametrize(
    ("device", "devices", "said"),
    [
        ("auto", [2, 3], r"devices: \[2, 3\] names GPUs, and PAI-DLC .*devices: 2"),
        ("cuda:1", 1, "device: cuda:1 names"),
    ],
)
def test_gpus_of_containers_are_a_number(fields: dict[str, Any], device: str, devices: Any, said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        settle(FineTuneConfig.from_dict({**fields, "device": device, "devices": devices}), {})


def test_paths_are_those_of_the_containers(fields: dict[str, Any], mount: Path, model_folder: Path) -> None:
    """Also of data of which a part is taken."""
    fields["dlc"]["mounts"] = [{"source": "nas://n.example/share/", "path": "/mnt/nas", "here": str(mount)}]
    fields["dlc"] |= {"vpc": "vpc-1", "security_group": "sg-1", "python": "/mnt/nas/env/bin/python"}
    fields["data"] = [f"{mount}/train.jsonl#1"]
    config = FineTuneConfig.from_dict(fields)

    options = settle(config, {}, model_folder=model_folder)
    sent, spec = (
        config_for_containers(config, options),
        submission(config, options, model_folder, job_id="J", number=2).spec,
    )

    assert (sent["data"], sent["output_dir"]) == (["/mnt/nas/train.jsonl#1"], "/mnt/nas/run")
    assert options.paths.here("/mnt/nas/run") == str(mount / "run")
    assert spec["DataSources"] == [{"Uri": "nas://n.example/share/", "MountPath": "/mnt/nas"}]
    assert spec["UserVpc"] == {"VpcId": "vpc-1", "SecurityGroupId": "sg-1"}
    assert "QWEN3FT_STATE_DIR=/mnt/nas/run/dlc/J-2" in spec["UserCommand"]
    assert "MODEL_CACHE_DIR=/mnt/nas/models" in spec["UserCommand"]
    assert "/mnt/nas/env/bin/python -m qwen3ft_jupyter finetune /mnt/nas/run/dlc/J-2/config.yaml" in spec["UserCommand"]
    assert str(mount) not in json.dumps(spec) + json.dumps(sent)


def test_a_model_on_no_mount_is_refused_with_the_cure(config: FineTuneConfig, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"MODEL_CACHE_DIR: .*put output_dir, data and MODEL_CACHE_DIR onto one"):
        settle(config, {}, model_folder=tmp_path / "elsewhere" / "Qwen_Qwen3-0.6B")


def test_a_job_that_is_too_large_is_refused_before_it_is_submitted(fields: dict[str, Any], model_folder: Path) -> None:
    fields["dlc"]["install"] = "x" * MOST_BYTES
    config = FineTuneConfig.from_dict(fields)

    with pytest.raises(BadConfig, match=r"PAI-DLC takes 65\.5 kB"):
        submission(config, settle(config, {}), model_folder, job_id="J", number=1)


@pytest.mark.parametrize("value", ["git+https://me:token@host/x", "https://host/x.whl?access_token=s3cret"])
def test_a_config_takes_no_secrets(value: str, fields: dict[str, Any]) -> None:
    fields["dlc"]["install"] = value

    with pytest.raises(BadConfig, match=r"dlc\.install: .*keeps no secrets") as caught:
        FineTuneConfig.from_dict(fields)

    assert "token@" not in str(caught.value)


@pytest.mark.parametrize("value", ["qwen3ft-jupyter[train] 'torch<3", "qwen3ft-jupyter \\"])
def test_what_pip_installs_is_refused_where_a_shell_could_not_read_it(value: str, fields: dict[str, Any]) -> None:
    fields["dlc"]["install"] = value

    with pytest.raises(BadConfig, match=r"dlc\.install: .*has a quote that is not closed, or ends with a backslash"):
        FineTuneConfig.from_dict(fields)


@pytest.mark.parametrize("address", ["http://pai-dlc.example", "https://me:s3cret@host", "https://host/path"])
def test_an_address_is_https_without_a_login(address: str) -> None:
    with pytest.raises(BadSetting, match="PAI_DLC_ENDPOINT") as caught:
        Endpoint.read({"PAI_DLC_ENDPOINT": address})

    assert "s3cret" not in str(caught.value)


def test_the_plan_shows_what_would_be_submitted(config: FineTuneConfig, model_folder: Path) -> None:
    spec = json.loads(planned_spec(config, model_folder))

    assert spec["DisplayName"] == "qwen3ft-JOB-1"
    assert not (Path(config.output_dir)).exists()


@pytest.mark.parametrize("image", ["me:s3cret@registry.cn/pai:1", "https://me:s3cret@registry.cn/pai:1", "https://r/x"])
def test_an_image_has_no_login_and_is_no_url(image: str, fields: dict[str, Any]) -> None:
    fields["dlc"]["image"] = image

    with pytest.raises(BadConfig, match=r"dlc\.image: .*is not REGISTRY/NAME:TAG") as caught:
        FineTuneConfig.from_dict(fields)

    assert "s3cret" not in str(caught.value)
    fields["dlc"]["image"] = f"registry.cn/pai@sha256:{64 * 'a'}"
    assert FineTuneConfig.from_dict(fields).dlc.image == fields["dlc"]["image"]


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        (["d-1:/mnt/a", "d-2:/mnt/a"], "has two for a: each needs a folder of its own"),
        (["d-1:/mnt/a:/home/x", "d-2:/mnt/b:/home/x/"], "has two for x"),
        (["/mnt/nas:/mnt/nas"], "is not a list of SOURCE:/PATH"),
        (["s3://bucket:/mnt"], "is not a list of SOURCE:/PATH"),
        ("d-1:/mnt/a,d-2:/mnt/b", "is not a list of SOURCE:/PATH"),
    ],
)
def test_a_mount_that_would_be_taken_for_another_is_refused(mounts: Any, said: str, fields: dict[str, Any]) -> None:
    fields["dlc"]["mounts"] = mounts

    with pytest.raises(BadConfig, match=rf"dlc\.mounts: .*{said}"):
        FineTuneConfig.from_dict(fields)


def test_a_mount_is_told_by_its_plain_folder_and_its_scheme_in_any_case(fields: dict[str, Any]) -> None:
    fields["dlc"]["mounts"] = ["d-1:/mnt/a//b/./c/", "OSS://bucket/x/:/mnt/x"]

    assert FineTuneConfig.from_dict(fields).dlc.mounts == ("d-1:/mnt/a/b/c", "oss://bucket/x/:/mnt/x")
