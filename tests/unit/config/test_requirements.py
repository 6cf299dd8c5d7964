"""Roots and overrides, taken apart and put together."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunenv.config.requirements import check_name, override_root, parse_override, parse_root, root_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("numpy", "numpy"),
        ("numpy==2.2.6", "numpy"),
        ("numpy===2.2.6-odd", "numpy"),
        ("Ruamel_Yaml>=0.1,<2", "ruamel-yaml"),
        ("scanpy[leiden, dask-ml]==1.10.4 ; sys_platform != 'win32'", "scanpy"),
        ("igblast @ git+https://example.org/a/b.git@0123456789abcdef0123456789abcdef01234567", "igblast"),
        ("x @ https://example.org/x-1.0-py3-none-any.whl", "x"),
        ("git+https://example.org/lab/My_Tool.git@v1.0", "my-tool"),
        ("git+https://example.org/lab/tool@feature/odd", "tool"),
        ("git+https://example.org/lab/tool/", "tool"),
        ("git+https://example.org/lab/repo@main#egg=Real.Name[x]&subdirectory=py", "real-name"),
        ("git+ssh://git@example.org/lab/tool.git", "tool"),
        ("git+https://example.org/", None),
    ],
)
def test_a_root_tells_its_name(text: str, name: str | None) -> None:
    """Every form of root that the design allows gives its normalised name."""
    assert root_name(text) == name
    assert parse_root(text).text == text


def test_the_parts_of_a_root_are_told_apart() -> None:
    """Extras, specifier and marker of a PEP 508 root are separate."""
    root = parse_root("scanpy[b,a]>=1,<2 ; python_version < '4'")
    assert root.extras == ("a", "b")
    assert root.specifier == "<2,>=1"
    assert root.marker == 'python_version < "4"'
    assert root.url is None


def test_a_bare_git_root_may_carry_a_marker_and_extras() -> None:
    """A bare reference keeps URL, extras of its egg and marker apart."""
    root = parse_root("git+https://example.org/a/b@c#egg=b[x,y] ; sys_platform == 'linux'")
    assert (root.url, root.extras) == ("git+https://example.org/a/b@c#egg=b[x,y]", ("x", "y"))
    assert root.marker == 'sys_platform == "linux"'


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("numpy=1.0", "did you mean `numpy==1.0`?"),
        ("numpy == ", "is not a requirement"),
        ("-e .", "is not a requirement"),
        ("numpy==1.0 scipy", "is not a requirement"),
        ("https://example.org/x-1.0-py3-none-any.whl", "write `name @ https://example.org/x-1.0-py3-none-any.whl`"),
        ("hg+https://example.org/x", "has no name"),
        ("x @ ftp://example.org/x.whl", "is not a URL that can be fetched"),
        ("x @ https:///x.whl", "names no host"),
        ("git+https://example.org/a/b ; nonsense", "is not a requirement"),
        ("git+https://[bad/a", ""),
    ],
)
def test_a_bad_root_is_refused_in_one_line(text: str, part: str) -> None:
    """What is no root is refused with a one-line sentence that names it."""
    with pytest.raises(ValueError) as caught:
        parse_root(text)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("root", "override", "result"),
    [
        ("numpy==1.0", "1.2", "numpy==1.2"),
        ("numpy", "1.2.*", "numpy==1.2.*"),
        ("torch>=2", "2.7.0+cpu", "torch==2.7.0+cpu"),
        ("numpy~=1.0", ">=1,<2", "numpy<2,>=1"),
        ("numpy==1.0", "===1.0-odd", "numpy===1.0-odd"),
        ("Scanpy[b,a]==1 ; python_version < '4'", "2", 'Scanpy[a,b]==2; python_version < "4"'),
        ("x[e]==1 ; os_name == 'nt'", "git+https://e.org/x@c", 'x[e] @ git+https://e.org/x@c ; os_name == "nt"'),
        ("x @ https://e.org/x-1-py3-none-any.whl", "2", "x==2"),
        ("git+https://e.org/My_Tool@c", "1.0", "My_Tool==1.0"),
        ("x==1", "https://e.org/x-2-py3-none-any.whl", "x @ https://e.org/x-2-py3-none-any.whl"),
    ],
)
def test_an_override_replaces_the_version_only(root: str, override: str, result: str) -> None:
    """Name, extras and marker survive an override, and the result is a root again."""
    assert override_root(root, override) == result
    assert root_name(result) == root_name(root)
    assert parse_root(result).marker == parse_root(root).marker
    assert parse_root(result).extras == parse_root(root).extras


@pytest.mark.parametrize("text", ["", "  ", "latest", "1.2 or 3", "numpy==1", "ftp://e.org/x", ">=1,,<2 x", "*"])
def test_a_bad_override_is_refused(text: str) -> None:
    """An override that is no version, specifier or reference is refused."""
    with pytest.raises(ValueError):
        parse_override(text)


@pytest.mark.parametrize("name", ["", "a b", "-x", "x-", "numpy==1", "é", "a/b"])
def test_a_bad_name_is_refused(name: str) -> None:
    """A key that is no package's name is refused."""
    with pytest.raises(ValueError):
        check_name(name)


@given(st.text(max_size=60))
def test_any_text_is_a_root_or_a_value_error(text: str) -> None:
    """No text makes the parser fail in another way than by ValueError."""
    for parse in (parse_root, parse_override):
        with contextlib.suppress(ValueError):
            parse(text)


@given(st.text("git+htps:/@#=;[]% .-az", max_size=40))
def test_any_reference_is_a_root_or_a_value_error(rest: str) -> None:
    """No text after a git scheme makes the parser fail in another way than by ValueError."""
    with contextlib.suppress(ValueError):
        parse_root(f"git+https://{rest}")
