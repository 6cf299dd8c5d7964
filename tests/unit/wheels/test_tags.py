"""Tags of targets, never of the host."""

from __future__ import annotations

import pytest
from packaging.tags import parse_tag

from pyrunenv.platforms import PLATFORMS
from pyrunenv.wheels.tags import supported_tags


@pytest.mark.parametrize(
    ("key", "tag", "fits"),
    [
        ("linux-x64", "cp312-cp312-manylinux_2_28_x86_64", True),
        ("linux-x64", "cp312-cp312-manylinux_2_29_x86_64", False),
        ("linux-x64", "cp312-cp312-manylinux2014_x86_64", True),
        ("linux-x64", "cp312-cp312-manylinux1_x86_64", True),
        ("linux-x64", "cp312-cp312-linux_x86_64", False),
        ("linux-x64", "cp312-cp312-musllinux_1_2_x86_64", False),
        ("linux-x64", "cp39-abi3-manylinux_2_17_x86_64", True),
        ("linux-x64", "cp313-abi3-manylinux_2_17_x86_64", False),
        ("linux-x64", "cp311-cp311-manylinux_2_17_x86_64", False),
        ("linux-x64", "cp312-cp312t-manylinux_2_17_x86_64", False),
        ("linux-x64", "py3-none-manylinux_2_17_x86_64", True),
        ("linux-x64", "py2.py3-none-any", True),
        ("linux-aarch64", "cp312-cp312-manylinux2014_aarch64", True),
        ("linux-aarch64", "cp312-cp312-manylinux1_aarch64", False),
        ("macosx-x64", "cp312-cp312-macosx_10_9_x86_64", True),
        ("macosx-x64", "cp312-cp312-macosx_13_0_x86_64", True),
        ("macosx-x64", "cp312-cp312-macosx_14_0_x86_64", False),
        ("macosx-x64", "cp312-cp312-macosx_10_9_universal2", True),
        ("macosx-x64", "cp312-cp312-macosx_11_0_arm64", False),
        ("macosx-aarch64", "cp312-cp312-macosx_11_0_arm64", True),
        ("macosx-aarch64", "cp312-cp312-macosx_10_9_universal2", True),
        ("windows-x64", "cp312-cp312-win_amd64", True),
        ("windows-x64", "cp312-cp312-win32", False),
        ("windows-x64", "cp312-cp312-win_arm64", False),
    ],
)
def test_a_wheel_fits_or_not(key: str, tag: str, fits: bool) -> None:
    """Each platform takes what the Backend's table says, up to the floors, for CPython 3.12."""
    supported = set(supported_tags(PLATFORMS[key], "3.12.10", "2.28", "13.0"))
    assert bool(parse_tag(tag) & supported) is fits


def test_a_native_wheel_comes_before_an_abi3_and_a_pure_one() -> None:
    """The order is packaging's: the most specific first."""
    order = [str(tag) for tag in supported_tags(PLATFORMS["linux-x64"], "3.12.10", "2.28", "13.0")]
    wanted = ["cp312-cp312-manylinux_2_28_x86_64", "cp312-abi3-manylinux_2_17_x86_64", "py3-none-any"]
    assert sorted(wanted, key=order.index) == wanted
