"""npm's settings: registries, logins, variables, and all that people write into such files."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pyrunenv import secrets
from pyrunenv.errors import NpmError, UsageError
from pyrunenv.npm.npmrc import DEFAULT_REGISTRY, Npmrc

REGISTRY = "https://npm.example/"


def read(folder: Path, text: str = "", *, user: str = "", **env: str) -> Npmrc:
    """The settings of a project with these files."""
    (folder / ".npmrc").write_text(text, encoding="utf-8")
    (folder / "user").write_text(user, encoding="utf-8")
    return Npmrc.read(folder, {"NPM_CONFIG_USERCONFIG": str(folder / "user"), **env})


def header(npmrc: Npmrc, url: str = REGISTRY, registry: str = REGISTRY) -> str | None:
    login = npmrc.login(url, registry)
    return login.header if login else None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("//npm.example/:_authToken=tok-1", "tok-1"),
        ("  //npm.example/:_authToken  =  tok-1  ", "tok-1"),
        ("//npm.example:_authToken=tok-1", "tok-1"),
        ('//npm.example/:_authToken="tok-1"', "tok-1"),
        ("//npm.example/:_authToken='tok-1'", "tok-1"),
        ('"//npm.example/:_authToken"=tok-1', "tok-1"),
        ("//npm.example/:_authToken=tok-1 ; a comment", "tok-1"),
        ("//npm.example/:_authToken=tok-1#comment", "tok-1"),
        (r"//npm.example/:_authToken=tok\#1", "tok#1"),
        (r"//npm.example/:_authToken=tok\\1", r"tok\1"),
        (r"//npm.example/:_authToken=tok\1", r"tok\1"),
        ("//npm.example/:_authToken=tok=1==", "tok=1=="),
        ("//npm.example/:_authToken=${SECRET}", "from-env"),
        ("//npm.example/:_authToken=a-${SECRET}-${NOT_SET?}z", "a-from-env-z"),
        (r"//npm.example/:_authToken=\${SECRET}", "${SECRET}"),
        ("//${HOST}/:_authToken=tok-1", "tok-1"),
        ("//npm.example/:_authToken=old\n//npm.example/:_authToken=tok-1", "tok-1"),
        ("\ufeff//npm.example/:_authToken=tok-1\r\nregistry=x", "tok-1"),
        ("; //npm.example/:_authToken=tok-1", None),
        ("   # //npm.example/:_authToken=tok-1", None),
        ("[section]\n//npm.example/:_authToken=tok-1", None),
        ("//npm.example/:_authToken=", None),
        ("//npm.example/:_authToken", None),
        ("//npm.example/:_authToken=${NOT_SET}", None),
        ("//npm.example.evil/:_authToken=tok-1", None),
        ("//npm.example:8443/:_authToken=tok-1", None),
        ("_authToken=tok-1", None),
        ("=\n==\n\n  \n'", None),
    ],
)
def test_a_token_is_read_as_npm_reads_it(tmp_path: Path, line: str, expected: str | None) -> None:
    """Quotes, comments, escapes, variables; each line stands for what npm's own parser does with it."""
    npmrc = read(tmp_path, line, SECRET="from-env", HOST="npm.example")
    assert header(npmrc) == (expected and f"Bearer {expected}")


def test_the_longest_path_wins(tmp_path: Path) -> None:
    """One host may serve several registries; a login goes to what is below its own path alone."""
    npmrc = read(
        tmp_path,
        "//npm.example/:_authToken=top\n//npm.example/a/b/:_authToken=deep\n//npm.example/a:_authToken=middle\n",
    )
    found = {path: header(npmrc, REGISTRY + path) for path in ("", "a/", "a/b/x", "a/bc/", "ab/", "a/b/../../c")}
    assert found == {
        "": "Bearer top", "a/": "Bearer middle", "a/b/x": "Bearer deep", "a/bc/": "Bearer middle", "ab/": "Bearer top",
        "a/b/../../c": None,
    }  # fmt: skip


def test_a_port_that_is_the_schemes_own_does_not_count(tmp_path: Path) -> None:
    """As in a browser's URL; any other port is another registry."""
    npmrc = read(tmp_path, "//npm.example/:_authToken=tok-1\n//[::1]:4873/:_authToken=six")
    assert header(npmrc, "https://NPM.example:443/x") == "Bearer tok-1"
    assert header(npmrc, "https://npm.example:80/x") is None
    assert header(npmrc, "http://[::1]:4873/x") == "Bearer six"


def test_a_user_and_a_password(tmp_path: Path) -> None:
    """The password stands in base64; `_auth` is both of them, and goes as it is. Neither is ever shown."""
    encoded = base64.b64encode(b"pass:word").decode()
    both = base64.b64encode(b"me:pass:word").decode()
    separate = read(tmp_path, f"//npm.example/:username=me\n//npm.example/:_password={encoded}")
    assert header(separate) == f"Basic {both}"
    assert secrets.mask(f"pass:word {encoded} {both}") == "**** **** ****"
    assert header(read(tmp_path, f"//npm.example/:_auth={both}")) == f"Basic {both}"
    assert header(read(tmp_path, "//npm.example/:username=me")) is None
    with pytest.raises(NpmError, match=r"\.npmrc:2: `_password` is not in base64"):
        header(read(tmp_path, "//npm.example/:username=me\n//npm.example/:_password=pass:word"))


def test_the_project_stands_before_the_user_and_variables_before_both(tmp_path: Path) -> None:
    """Key by key: what one file lacks the next one has."""
    npmrc = read(
        tmp_path, "registry=https://project.example\n",
        user="registry=https://user.example\n//project.example/:_authToken=of-user\n@lab:registry=https://lab.example/npm",
    )  # fmt: skip
    assert npmrc.registry("plain", {}) == "https://project.example/"
    assert npmrc.registry("@lab/x", {}) == "https://lab.example/npm/"
    assert header(npmrc, "https://project.example/plain") == "Bearer of-user"
    over = read(tmp_path, "registry=https://project.example\n", npm_config_registry="https://variable.example/")
    assert over.registry("plain", {}) == "https://variable.example/"


def test_the_registry_of_a_package(tmp_path: Path) -> None:
    """The command line, then the scope's, then `publishConfig`, then the common one, then npm's own."""
    npmrc = read(tmp_path, "@lab:registry=https://lab.example/\nregistry=https://common.example/")
    own = {"registry": "https://own.example"}
    assert npmrc.registry("@lab/x", own, "http://127.0.0.1:4873") == "http://127.0.0.1:4873/"
    assert npmrc.registry("@lab/x", own) == "https://lab.example/"
    assert npmrc.registry("@lab/x", {"@lab:registry": "https://scoped.example/"}) == "https://scoped.example/"
    assert npmrc.registry("@other/x", own) == "https://own.example/"
    assert npmrc.registry("@other/x", {}) == "https://common.example/"
    assert read(tmp_path).registry("@other/x", {}) == DEFAULT_REGISTRY


@pytest.mark.parametrize(
    "url", ["registry.example", "file:///tmp", "https://", "https://me:hunter22@npm.example/", "https://a:b/", "https://x/?q"]
)  # fmt: skip
def test_what_is_no_registry_is_refused(tmp_path: Path, url: str) -> None:
    """With where it stands, and without the password that may stand in it."""
    with pytest.raises(UsageError) as caught:
        read(tmp_path, f'registry="{url}"').registry("x", {})
    assert "hunter22" not in str(caught.value)
    assert caught.value.notes == (f"given by {tmp_path / '.npmrc'}:1",)


def test_npm_token_serves_the_chosen_registry_alone(tmp_path: Path) -> None:
    """Where .npmrc has no login for it; never another host, scheme, or path beside it."""
    npmrc = read(tmp_path, "//other.example/:_authToken=other", NPM_TOKEN="tok-9\n")
    registry = "https://npm.example/private/"
    assert header(npmrc, registry + "x", registry) == "Bearer tok-9"
    assert header(npmrc, "https://other.example/x", "https://other.example/") == "Bearer other"
    for url in ("https://evil.example/private/x", "http://npm.example/private/x", "https://npm.example/x",
                "https://npm.example:8443/private/x", "https://npm.example/private/%2e%2e/x"):  # fmt: skip
        assert header(npmrc, url, registry) is None


def test_what_looks_like_a_login_and_is_none_is_told(tmp_path: Path) -> None:
    """The usual two mistakes: a variable that is not set, and a token without its registry."""
    npmrc = read(tmp_path, "//npm.example/:_authToken=${MY_TOKEN}\n_authToken=tok-1234")
    assert npmrc.doubts() == [
        f"{tmp_path / '.npmrc'}:1 gives a login with MY_TOKEN, which is not set",
        f"{tmp_path / '.npmrc'}:2: `_authToken` without a registry is not used; write `//host/:_authToken=…`",
    ]


def test_a_token_that_no_header_may_hold_is_an_error(tmp_path: Path) -> None:
    """A token with a blank or a control character was copied wrong; it is not shown."""
    with pytest.raises(NpmError, match="no header may have") as caught:
        header(read(tmp_path, '//npm.example/:_authToken="tok\\nX-Evil: yes"'))
    assert "Evil" not in str(caught.value)


def test_files_that_are_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    """No file is no settings; a folder in its place is an error with its name."""
    assert Npmrc.read(tmp_path / "nowhere", {"npm_config_userconfig": str(tmp_path / "no")}).doubts() == []
    (tmp_path / ".npmrc").mkdir()
    with pytest.raises(NpmError, match=r"cannot read .*npmrc"):
        Npmrc.read(tmp_path, {"npm_config_userconfig": "/nowhere"})
