"""tflite-runtime 2.14, the last for 32-bit boards, reads the TFLite files as its successor does.

Its int8 kernels round in another way than those of XNNPACK, which its successor computes with and it, on lines of any
width, does not. Hardly a line's logits stay the same; the error does.
"""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.edge, pytest.mark.timeout(900)]
TIMES = 4  # as many lines as ARM reads: a language model makes more of a difference, so CER differs more by chance
APART = {"fp32": 0.0, "int8": 6.0}  # percent of characters that differ: in int8 as many as against float


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_tflite_files_are_read_alike(
    precision: str, tflite_runtime: Any, here: Any, model: Any, read: Any, compare: Any
) -> None:
    path = model(".tflite", precision)
    far = read(tflite_runtime, path, precision, TIMES)
    assert str(far["engine"]).startswith("tflite_runtime 2.14")
    compare(path, read(here, path, precision, TIMES), far, APART[precision])
