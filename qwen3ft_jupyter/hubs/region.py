"""In which region of Alibaba Cloud this machine is: there ModelScope can hand out files over the internal network.

That route is free and fast, but only machines of the same region reach it. The hub names an address at which the
region can be asked for; no address from an answer is ever asked here, because it could be any service of this network.
The cloud documents one address for it, the same on all its machines.
"""

from __future__ import annotations

import http.client
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_ADDRESS = ("100.100.100.200", 80)
"""Where a machine of Alibaba Cloud learns about itself."""
PROBE_TIMEOUT_S = 1.0
"""Longest wait for one answer; there are at most three."""
REGION_HEADER = "x-aliyun-region-id"
_VENDOR_FILE = Path("/sys/class/dmi/id/sys_vendor")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z0-9]{1,16}){1,4}")
_OFF = frozenset({"0", "false", "no", "off", "n", "f"})


class Region:
    """The region this machine is in; unknown until it was asked for and an answer has come."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        vendor_file: Path = _VENDOR_FILE,
        address: tuple[str, int] = METADATA_ADDRESS,
    ) -> None:
        """Read what the variables of ModelScope's own client say. Args: they, and where to look otherwise."""
        self._environ = environ
        self._vendor_file = vendor_file
        self._address = address
        self._is_asked = False
        self._lock = threading.Lock()
        self.name = ""
        """For example "cn-hangzhou"; "" while unknown."""

    def ask(self) -> None:
        """Find it out, without waiting for it: from the environment, else on a thread, and only in Alibaba Cloud."""
        with self._lock:
            if self._is_asked:
                return
            self._is_asked = True
        if self._environ.get("MODELSCOPE_DOWNLOAD_INTRA_CLOUD", "").strip().lower() in _OFF:
            return
        given = self._environ.get("MODELSCOPE_DOWNLOAD_INTRA_CLOUD_REGION", "").strip().lower()
        if given:
            self.name = given if _REGION.fullmatch(given) else ""
        elif self._is_in_cloud():
            start_thread(threading.Thread(target=self._probe, name="qwen3ft-region", daemon=True))

    def _is_in_cloud(self) -> bool:
        if self._environ.get("MODELSCOPE_CLOUD_ENVIRONMENT"):  # set in the notebooks that ModelScope lends
            return True
        try:
            return "alibaba" in self._vendor_file.read_text("ascii", "replace").lower()
        except OSError:
            return False

    def _probe(self) -> None:
        try:
            status, text = self._asked("GET", "/latest/meta-data/region-id", {})
            if status in {401, 403}:  # this machine answers only those who can send a PUT first
                lifetime = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
                _, token = self._asked("PUT", "/latest/api/token", lifetime)
                secret = {"X-aliyun-ecs-metadata-token": token}
                status, text = self._asked("GET", "/latest/meta-data/region-id", secret)
        except (OSError, http.client.HTTPException, ValueError):  # ValueError: a token that is no header
            return
        if status == 200 and _REGION.fullmatch(text):
            self.name = text

    def _asked(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        # the proxy of this environment is not asked: the address has a meaning on this machine only
        connection = http.client.HTTPConnection(*self._address, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request(method, path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.read(256).decode("ascii", "replace").strip()
        finally:
            connection.close()
