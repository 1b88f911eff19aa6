from __future__ import annotations

import subprocess
import sys
import zlib

from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer.crc import crc32

WITHOUT = """
import sys
sys.modules["zlib_ng"] = None
from qwen3ft_jupyter.transfer.crc import crc32
import zlib
assert crc32 is zlib.crc32
"""


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_journals_and_manifests_hold_the_values_of_zlib(first: bytes, second: bytes) -> None:
    assert crc32(second, crc32(memoryview(first))) == zlib.crc32(first + second)


def test_where_the_fast_library_is_missing_zlib_computes_them() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)
