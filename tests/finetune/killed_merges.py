"""Merges again and again, each time in a process that is killed one operation of its disk later; prints what is left.

A fork costs nothing, an import of torch seconds. What compares the models writes nothing and is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from qwen3ft_jupyter.finetune import merge as merging
from qwen3ft_jupyter.finetune import selftest
from qwen3ft_jupyter.finetune.adapter import read_adapter
from qwen3ft_jupyter.finetune.merge import Base, Origin, merge, plan_merge
from qwen3ft_jupyter.work import Work
from tests.played_disks import KillingDisk


def main(model: Path, adapter: Path, place: Path, *, is_replaced: bool) -> None:
    test = selftest.SelfTest(1, "built-in", "float32", 0.0, 0.0, 1.0)
    vars(selftest)["compare"] = lambda *_: test
    vars(merging)["_generation"] = lambda _: b"{}"  # it asks a process of its own, for each fork anew
    vars(selftest)["check_fits"] = lambda *_: "float32"

    def run(disk: KillingDisk) -> None:
        base = Base(model, "Qwen/Tiny-Qwen3")
        plan = plan_merge(read_adapter(adapter), base, Origin("a"), place / "merged", overwrite=True)
        merge(plan, Work(), disk=disk)

    import torch.nn  # noqa: F401 - once, not in every fork
    import transformers  # noqa: F401

    if is_replaced:
        run(KillingDisk(1 << 30))
        shutil.copytree(place, place.with_name("before"))
    for nth in range(1, 1000):
        pid = os.fork()
        if not pid:
            run(KillingDisk(nth))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        whole = [path.parent.name for path in place.rglob("config.json")]
        print(json.dumps({"killed": os.WIFSIGNALED(status), "whole": whole}), flush=True)  # noqa: T201
        if not os.WIFSIGNALED(status):
            return
        if is_replaced:  # as before; without that, the next merge has to cope with what this one left
            shutil.rmtree(place)
            shutil.copytree(place.with_name("before"), place)


if __name__ == "__main__":
    model, adapter, place = (Path(one) for one in sys.argv[1:4])
    main(model, adapter, place, is_replaced=sys.argv[4] == "replaced")
