"""The real thing: an installed CPython is made portable, moved, and does what the Backend asks of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunenv import platforms
from pyrunenv.errors import InterpreterError
from pyrunenv.interpreters import local
from pyrunenv.interpreters.layout import Layout
from pyrunenv.interpreters.prepare import PreparedInterpreter, prepare
from pyrunenv.lock.model import Floors, LockedInterpreter
from pyrunenv.trees import extract_tree

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="relocation is tried on Linux alone"),
]
REPLAY = Path(__file__).parents[2] / "contract" / "backend_replay.py"
HERE = ".".join(map(str, sys.version_info[:3]))


def prepare_local(version: str, cache: Path, *, other_patch: bool = False) -> PreparedInterpreter:
    return prepare(
        LockedInterpreter("local", version),
        platforms.host(),
        cache_root=cache,
        fetch=lambda url, sha256: Path(),
        floors=Floors("2.28", "13.0"),
        allow_other_patch=other_patch,
        python_version=version,
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session", params=["3.10", "3.11", "3.12", "3.13", "3.14"])
def version(request: pytest.FixtureRequest, cache: Path) -> str:
    """One installed version of each minor; the running one must be portable, the others may be absent."""
    minor = request.param
    if HERE.startswith(minor + "."):
        return HERE
    layout = Layout(platforms.host(), f"{minor}.0")
    try:
        return local.find(f"{minor}.0", layout, allow_other_patch=True, uv_cache=cache / "uv")[0].version
    except InterpreterError as error:
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def tree(version: str, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared tree, unpacked with a strict umask to a folder whose name is a trial."""
    folder = tmp_path_factory.mktemp("trees") / f"träe of {version}"
    folder.mkdir()
    before = os.umask(0o077)
    try:
        extract_tree(prepare_local(version, cache).tar, folder)
    finally:
        os.umask(before)
    (folder / "packages").mkdir()
    return folder


def test_it_runs_without_an_environment_and_imports_what_needs_libraries(tree: Path, version: str) -> None:
    """Under `env -i`, from another folder; it is its own prefix and knows nothing of the old one."""
    code = (
        "import ssl, sqlite3, ctypes, lzma, bz2, readline, zlib, curses, hashlib, uuid, decimal, zoneinfo\n"
        "import sys, sysconfig; value = sysconfig.get_config_var\n"
        "print(sys.version.split()[0], sys.prefix, value('LIBDIR'), value('CC'), sep='|')"
    )
    done = subprocess.run(
        ["env", "-i", tree / "bin" / "python", "-B", "-c", code], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{version}|{tree}|{tree}/lib|cc"
    assert done.stderr == ""


def test_every_library_comes_from_the_tree_or_is_glibcs(tree: Path) -> None:
    """The loader, asked of each file with a hostile LD_LIBRARY_PATH, finds nothing of this machine but glibc."""
    hostile = tree.parent / "hostile"
    hostile.mkdir(exist_ok=True)
    for name in ("libz.so.1", "libssl.so.3", "libcrypto.so.3", "libffi.so.8"):
        (hostile / name).write_bytes(b"no library")
    natives = [p for p in tree.rglob("*") if p.is_file() and not p.is_symlink() and p.read_bytes()[:4] == b"\x7fELF"]
    assert len(natives) > 20
    foreign = set()
    for path in natives:
        done = subprocess.run(
            [
                "/lib64/ld-linux-x86-64.so.2" if platforms.host().arch == "x64" else "/lib/ld-linux-aarch64.so.1",
                "--list",
                path,
            ],
            capture_output=True,
            text=True,
            env={"LD_LIBRARY_PATH": str(hostile)},
        )
        assert "not found" not in done.stdout, path
        assert done.returncode == 0, (path, done.stderr)
        for name, place in re.findall(r"^\s*(\S+) => (\S.*?)(?: \(0x|$)", done.stdout, re.MULTILINE):
            if not place.startswith(str(tree)):
                foreign.add(name)
    assert not [
        name for name in foreign if not re.match(r"(libc|libm|libdl|libpthread|librt|libutil|libresolv)\.so|ld-", name)
    ]


def test_nothing_of_the_build_machine_is_left(tree: Path, version: str) -> None:
    """No prefix, home or build folder in any file; no compiler in what the build wrote, nor in stripped programs."""
    installation = local.find(
        version, Layout(platforms.host(), version), allow_other_patch=False, uv_cache=tree.parent / "uv"
    )[0]
    minor = version.rpartition(".")[0]
    data = next((installation.prefix / "lib" / f"python{minor}").glob("_sysconfigdata*.py")).read_text()
    built = re.findall(r"'abs_(?:srcdir|builddir)': '(/[^']+)'", data)
    secrets = {str(installation.prefix), installation.named, str(Path.home()), *built} - {
        "/usr",
        "/usr/local",
        "/",
        "/root",
    }
    pattern = re.compile(b"|".join(re.escape(secret.encode()) + rb"(?![\w.])" for secret in sorted(secrets)))
    for path in tree.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        assert not pattern.search(content), path
        assert b"GCC: (" not in content, path
        if "_sysconfigdata" in path.name or path.suffix == ".pc" or path.name == "Makefile" or content[:2] == b"#!":
            words = content if "sysconfigdata" in path.name or path.suffix == ".pc" else content.partition(b"\n")[0]
            assert not re.search(rb"gcc|clang|g\+\+|/home/|/root/|/tmp/", words), path
    names = {path.relative_to(tree).as_posix() for path in tree.rglob("*")}
    assert not [
        n
        for n in names
        if re.search(r"__pycache__|\.pyc$|\.a$|/idlelib|/tkinter|/config-|direct_url\.json|\.pth$|/test/", n)
        and "/setuptools/" not in n
        and not n.endswith("distutils-precedence.pth")
    ]
    packages = {n.split("/")[3] for n in names if n.startswith(f"lib/python{minor}/site-packages/")}
    assert {re.sub(r"-\d.*", "", n) for n in packages} <= {
        "pip",
        "setuptools",
        "pkg_resources",
        "_distutils_hack",
        "distutils-precedence.pth",
    }


def test_certificates_are_looked_for_where_most_systems_have_them(tree: Path) -> None:
    """OpenSSL's own default is no folder of this machine alone: Debian's is only there on Debian."""
    code = "import ssl; paths = ssl.get_default_verify_paths(); print(paths.openssl_cafile, paths.openssl_capath)"
    done = subprocess.run(
        ["env", "-i", tree / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
    )
    places = [os.path.normpath(place) for place in done.stdout.split()]
    assert places in (["/etc/ssl/cert.pem", "/etc/ssl/certs"], ["/etc/pki/tls/cert.pem", "/etc/pki/tls/certs"])


def test_pip_is_there_and_whole(tree: Path) -> None:
    """bin/pip runs from the odd folder, and pip finds nothing amiss with itself."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [tree / "bin" / "pip", "--version"], capture_output=True, text=True, check=True, env=environment
    )
    assert str(tree) in done.stdout
    show = subprocess.run(
        [tree / "bin" / "python", "-m", "pip", "show", "-f", "pip"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert "../../../bin/pip3" in show.stdout
    assert (
        "Installer: pip"
        in subprocess.run(
            [tree / "bin" / "python", "-m", "pip", "show", "-v", "pip"], capture_output=True, text=True, env=environment
        ).stdout
    )


@pytest.mark.slow
def test_the_backends_own_steps_work_on_it(tree: Path) -> None:
    """backend_replay with a read-only bundle: venv, offline pip, imports, and the bundle unchanged."""
    modules = [word for module in ("ssl", "sqlite3", "ctypes", "lzma") for word in ("-i", module)]
    done = subprocess.run(
        [sys.executable, REPLAY, tree, "--read-only", "--json", *modules], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"]


@pytest.mark.slow
def test_preparing_depends_on_nothing_but_the_installation(tmp_path: Path) -> None:
    """Another umask, locale, time zone, hash seed, folder and user site give the very same tar."""
    code = (
        "import os, sys; os.umask(int(sys.argv[1], 8))\n"
        "from pathlib import Path\n"
        "from pyrunenv import platforms\n"
        "from pyrunenv.interpreters.prepare import prepare\n"
        "from pyrunenv.lock.model import Floors, LockedInterpreter\n"
        f"print(prepare(LockedInterpreter('local', '{HERE}'), platforms.host(), cache_root=Path(sys.argv[2]),\n"
        f"  fetch=None, floors=Floors('2.28', '13.0'), python_version='{HERE}').tree_digest)"
    )
    digests = set()
    for number, (umask, variables) in enumerate(
        [
            ("022", {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"}),
            (
                "077",
                {
                    "LC_ALL": "C.UTF-8",
                    "TZ": "Asia/Tokyo",
                    "PYTHONHASHSEED": "2",
                    "PYTHONPATH": "/nowhere",
                    "LD_LIBRARY_PATH": "/nowhere",
                    "HOME": str(tmp_path),
                    "SOURCE_DATE_EPOCH": "5",
                },
            ),
        ]
    ):
        place = tmp_path / str(number)
        place.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, umask, place / "cache"],
            env={**os.environ, **variables},
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_second_call_uses_what_is_there(cache: Path) -> None:
    """Nothing is made anew, and a library of this machine that changed since makes it be."""
    first = prepare_local(HERE, cache)
    inode = first.tar.stat().st_ino
    assert prepare_local(HERE, cache) == first
    assert first.tar.stat().st_ino == inode
    notes = first.tar.with_suffix(".json")
    facts = json.loads(notes.read_text())
    assert facts["host_files"]
    facts["host_files"][next(iter(facts["host_files"]))][1] += 1
    notes.write_text(json.dumps(facts))
    assert prepare_local(HERE, cache).tree_digest == first.tree_digest
    assert first.tar.stat().st_ino != inode


def test_another_patch_release_is_taken_only_when_allowed_and_never_published(cache: Path) -> None:
    """X.Y.99 is installed nowhere: an error that names what there is, or a stand-in that says so."""
    wanted = HERE.rpartition(".")[0] + ".99"
    with pytest.raises(InterpreterError, match=f"no installed CPython {re.escape(wanted)}") as caught:
        prepare_local(wanted, cache)
    assert HERE in " ".join(caught.value.notes)
    found = prepare_local(wanted, cache, other_patch=True)
    assert not found.publishable
    assert found.version.rpartition(".")[0] == wanted.rpartition(".")[0]
    assert any("cannot be published" in warning for warning in found.warnings)
    assert prepare_local(HERE, cache).publishable


def test_the_floor_is_measured_and_said(cache: Path) -> None:
    """The interpreter's glibc floor is a version with its cause; above the workspace's it is a warning."""
    found = prepare_local(HERE, cache)
    assert found.floor is not None
    assert re.fullmatch(r"2\.\d+", found.floor)
    assert found.floor_cause is not None
    above = tuple(map(int, found.floor.split("."))) > (2, 28)
    assert any(found.floor_cause in warning for warning in found.warnings) == above


FACTS = {
    "implementation": "cpython",
    "version": "3.12.1",
    "final": True,
    "prefix": "/x",
    "named": "/x",
    "stdlib": "/x/lib/python3.12",
    "debug": False,
    "threaded": False,
    "framework": "",
    "abi": "cpython-312",
    "dist": False,
    "pip": True,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pip": False}, "ensurepip"),
        ({"dist": True}, "dist-packages"),
        ({"abi": "cpython-312-x86_64-linux-musl"}, "musl"),
        ({"debug": True}, "debug"),
        ({"threaded": True}, "free-threaded"),
        ({"framework": "Python"}, "framework"),
        ({"stdlib": "/y"}, "standard library"),
        ({"final": False}, "release"),
        ({"implementation": "pypy"}, "CPython"),
    ],
)
def test_what_cannot_be_made_portable_is_refused_with_its_reason(
    change: dict[str, object], reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every interpreter that was found is named with why it will not do."""
    monkeypatch.setattr(local, "_candidates", lambda minor, uv_cache: [Path("/x/bin/python3")])
    monkeypatch.setattr(local, "_ask", lambda python: {**FACTS, **change})
    with pytest.raises(InterpreterError) as caught:
        prepare_local("3.12.1", tmp_path)
    assert "/x (3.12.1)" in caught.value.notes[0]
    assert reason in caught.value.notes[0]
    assert "standalone" in str(caught.value.hint)


@pytest.mark.skipif(not Path("/usr/lib/python3/dist-packages").is_dir(), reason="not a Debian-like system")
def test_debians_own_python_is_refused(tmp_path: Path) -> None:
    """The system's Python has no ensurepip: the message says so."""
    system = local._ask(Path("/usr/bin/python3"))
    if system is None:
        pytest.skip("no system Python")
    layout = Layout(platforms.host(), str(system["version"]))
    assert "changed by its distributor" in str(local._unfit(system, layout))


def test_a_venv_stands_for_the_interpreter_that_made_it(tmp_path: Path) -> None:
    """Asked in a venv, the answer is the base installation, without the venv's packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    facts = local._ask(tmp_path / "venv" / "bin" / "python")
    assert facts is not None
    assert Path(facts["prefix"]) == Path(sys.base_prefix).resolve()


def test_a_search_that_fails_is_no_search_without_result(tmp_path: Path) -> None:
    """What uv says is shown: a cache that cannot be written, here."""
    (tmp_path / "uv").write_bytes(b"")
    with pytest.raises(InterpreterError, match="cannot be looked for") as caught:
        list(local.installed("3.9", tmp_path / "uv"))
    assert len(caught.value.notes) > 1
    assert "PYRUNENV_CACHE" in (caught.value.hint or "")
