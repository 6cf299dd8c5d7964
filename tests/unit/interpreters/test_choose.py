"""Which interpreter a lock gets, and what is said where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pyrunenv import platforms
from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters.choose import _table, choose
from pyrunenv.platforms import PLATFORMS


def python(**values: Any) -> Any:
    return SimpleNamespace(**{"source": "standalone", "build": None, "mirror": None, "archives": {}, **values})


RELEASE = "https://github.com/astral-sh/python-build-standalone/releases/download/20250529/"


@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=str)
def test_standalone_names_the_platforms_own_asset(platform: platforms.Platform) -> None:
    """Each platform gets the asset of its triple, stripped, with a digest; 3.12.10's last build is 20250529."""
    found = choose(python(), "3.12.10", platform)
    assert found.url == f"{RELEASE}cpython-3.12.10%2B20250529-{platform.triple}-install_only_stripped.tar.gz"
    assert (found.source, found.version, found.build) == ("standalone", "3.12.10", "20250529")
    assert found.sha256 is not None
    assert len(found.sha256) == 64


def test_digests_differ_from_platform_to_platform() -> None:
    """No two platforms get one file."""
    assert len({choose(python(), "3.12.10", p).sha256 for p in PLATFORMS.values()}) == 5


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_replaces_what_uvs_would(slash: str) -> None:
    """Everything before the date is the mirror's, the rest (its %2B too) and the digest stay."""
    platform = PLATFORMS["linux-x64"]
    mirrored = choose(python(mirror=f"https://mirror.test/pbs{slash}"), "3.12.10", platform)
    assert mirrored.url == choose(python(), "3.12.10", platform).url.replace(
        RELEASE, "https://mirror.test/pbs/20250529/"
    )  # type: ignore[union-attr]
    assert mirrored.sha256 == choose(python(), "3.12.10", platform).sha256


def test_the_hosts_environment_chooses_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """pbs-installer's own variable does not reach a lock."""
    monkeypatch.setenv("PBS_INSTALLER_BASE_URL", "https://evil.test")
    _table.cache_clear()
    assert "evil" not in str(choose(python(), "3.12.10", PLATFORMS["linux-x64"]).url)


def test_a_build_date_must_be_one_whose_digest_is_known() -> None:
    """The date that is known is accepted; another one is an error that names both."""
    assert choose(python(build="20250529"), "3.12.10", PLATFORMS["linux-x64"]).build == "20250529"
    with pytest.raises(InterpreterError, match="20240101") as caught:
        choose(python(build="20240101"), "3.12.10", PLATFORMS["linux-x64"])
    assert "20250529" in f"{caught.value.notes} {caught.value.hint}"


def test_an_unknown_version_names_the_nearest_and_the_ways_out() -> None:
    """3.12.99 exists nowhere: the newest 3.12 is named, and the sources that could have it."""
    with pytest.raises(InterpreterError, match=r"no CPython 3\.12\.99 for macosx-x64") as caught:
        choose(python(), "3.12.99", PLATFORMS["macosx-x64"])
    assert all(near.startswith("3.12.") for near in caught.value.notes[0].partition(": ")[2].split(", "))
    assert "`archive`" in str(caught.value.hint)
    assert "`local`" in str(caught.value.hint)
    with pytest.raises(InterpreterError) as caught:
        choose(python(), "3.99.0", PLATFORMS["macosx-x64"])
    assert "3.14" in caught.value.notes[0]


def test_an_archive_is_taken_as_given_and_its_absence_named_by_key() -> None:
    """`archive` takes the platform's URL and digest; a missing one is named by its key path."""
    given = {"linux-x64": SimpleNamespace(url="https://a.test/x.zip", sha256="ab" * 32)}
    found = choose(python(source="archive", archives=given), "3.12.10", PLATFORMS["linux-x64"])
    assert (found.url, found.sha256, found.build) == ("https://a.test/x.zip", "ab" * 32, None)
    with pytest.raises(InterpreterError) as caught:
        choose(python(source="archive", archives=given), "3.12.10", PLATFORMS["windows-x64"])
    assert "python.archives.windows-x64" in f"{caught.value.notes} {caught.value.hint}"


def test_local_is_for_the_hosts_platform_alone() -> None:
    """Another platform's interpreter cannot be had from this machine."""
    here = platforms.host()
    assert choose(python(source="local"), "3.12.10", here).url is None
    for platform in PLATFORMS.values():
        if platform != here:
            with pytest.raises(InterpreterError, match=platform.key):
                choose(python(source="local"), "3.12.10", platform)


def test_a_login_in_a_mirrors_or_archives_url_is_in_no_lock() -> None:
    """Locks are committed: the URL that they hold has no user and no password."""
    platform = PLATFORMS["linux-x64"]
    mirrored = choose(python(mirror="https://me:s3cret@mirror.test/pbs"), "3.12.10", platform)
    assert mirrored == choose(python(mirror="https://mirror.test/pbs"), "3.12.10", platform)
    given = {"linux-x64": SimpleNamespace(url="https://me:s3cret@a.test:8443/x.zip", sha256="ab" * 32)}
    assert choose(python(source="archive", archives=given), "3.12.10", platform).url == "https://a.test:8443/x.zip"
