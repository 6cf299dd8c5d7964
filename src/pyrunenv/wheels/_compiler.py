"""The compiler of a build: takes a command line as for cc, and runs ``zig`` for the target with it.

Called through small scripts named ``cc``, ``c++``, ``ar`` and so on, with the path of a JSON file (written by
:mod:`pyrunenv.wheels.toolchain`) and the tool's name before the words of the build. It stands alone: it is started for
every file that is compiled, by the interpreter with nothing imported.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

_NEXT_IS_VALUE = {"-arch", "-isysroot", "-target"}
"""Dropped with the word after them: they choose a target, or among Apple's toolchains."""
_FOLDER_OPTIONS = ("-isystem", "-idirafter", "-iquote", "-Wl,-rpath,", "-Wl,-rpath=", "-I", "-L")
_DROPPED = {
    # linker options of GNU's and Apple's toolchains that zig's linker does not know, and which change nothing of use
    "-Wl,-bind_at_load", "-bind_at_load", "-Wl,-single_module", "-single_module", "-Wl,-search_paths_first", "-Wl,--fatal-warnings",
    "-Wl,--no-as-needed", "-Wl,--as-needed", "-Wl,-strip-all", "-Wl,-x", "-Wl,-dead_strip_dylibs",
    "-Wl,-ld_classic", "-Wl,-no_compact_unwind",
    # would make the result depend on what optimises across files, or on debug information with paths
    "-ffat-lto-objects", "-fno-semantic-interposition", "-g", "-g0", "-g1", "-g2", "-g3", "-ggdb",
    # would make it depend on the processor of this machine
    "-march=native", "-mtune=native", "-mcpu=native",
}  # fmt: skip
_DROPPED_BEGINNINGS = (
    "-mmacosx-version-min=", "-stdlib=", "-flto", "-Wl,--exclude-libs", "-Wl,-z,", "-Wl,--version-script",
    "-Wl,-Bsymbolic", "-fuse-ld=", "--target=", "-Wl,--build-id", "-Wl,-O",
)  # fmt: skip
_NO_LINK = {"-c", "-E", "-S", "-M", "-MM", "--version", "-dumpversion", "-print-search-dirs", "-fsyntax-only"}
_POSIX_LIBRARIES = {"-lm", "-lpthread", "-pthread", "-ldl", "-lutil", "-lrt", "-fPIC", "-fpic", "-fPIE"}
_APPLE_HAS_THEM = {"-lrt", "-ldl", "-lutil", "-lcrypt"}
_MSVC: dict[str, list[str]] = {
    "/EHsc": [],
    "/O2": ["-O2"],
    "/bigobj": [],
    "/GL": [],
    "/LTCG": [],
    "/MP": [],
    "/nologo": [],
    "/utf-8": [],
}
_HOST_FOLDERS = ("/usr/include", "/usr/local/include", "/usr/lib", "/usr/local/lib", "/lib", "/opt/homebrew")
_RESPONSE = "@"


def translate(tool: str, words: Iterable[str], told: Mapping[str, Any]) -> list[str]:
    """Return zig's command line (without its path) for the words of a build; pure."""
    if tool not in ("cc", "c++"):
        return [tool, *words]
    kept: list[str] = []
    rest = iter(expand(words))
    for word in rest:
        if word in _NEXT_IS_VALUE:
            next(rest, None)
        elif word in _FOLDER_OPTIONS:
            place = placed(next(rest, ""), told)
            kept += [word, place] if place else []
        elif option := next((o for o in _FOLDER_OPTIONS if word.startswith(o)), None):
            place = placed(word[len(option) :], told)
            kept += kept_word(option + place, told["system"]) if place else []
        elif word == "-Xlinker":
            kept += kept_word("-Wl," + next(rest, ""), told["system"])
        else:
            kept += kept_word(word, told["system"])
    links = not _NO_LINK.intersection(kept) and any(not word.startswith("-") for word in kept)
    # Clang's sanitizer for undefined behaviour, which zig switches on, wants a runtime that no target has; _DEBUG, which it
    # defines where nothing is optimised, means Python's debug build to the headers for Windows.
    before = ["-target", told["target"], "-fno-sanitize=undefined", "-U_DEBUG", "-Wno-unused-command-line-argument",
              "-Wno-date-time", "-I" + told["include"], *told["defines"], *told["prefix_maps"]]  # fmt: skip
    libraries = [*told["link"]] if "-shared" in kept else []
    if told["system"] == "Darwin":
        libraries.append("-Wl,-headerpad_max_install_names")  # room to name another place of a library, as repairs do
    return [tool, *before, *kept, *([*libraries, "-s"] if links else [])]


def kept_word(word: str, system: str) -> list[str]:
    """Return what stands for a word on a system: nothing, itself or another."""
    if word in _DROPPED or word.startswith(_DROPPED_BEGINNINGS):
        return []
    if system == "Windows":
        if word in _POSIX_LIBRARIES or word.startswith("-Wl,-rpath"):
            return []
        if word.startswith("/std:"):
            return ["-std=" + word[len("/std:") :]]
        return _MSVC.get(word, [word])
    if system == "Darwin":
        if word in _APPLE_HAS_THEM:
            return []
        if word in ("-bundle", "-Wl,-dylib"):
            return ["-shared"]  # CPython loads a dylib as well as a bundle
    return [word]


def expand(words: Iterable[str]) -> Iterator[str]:
    """Replace response files (``@path``) by what is in them, which is quoted as for a shell."""
    for word in words:
        if word.startswith(_RESPONSE) and os.path.isfile(word[1:]):
            import shlex

            with open(word[1:], encoding="utf-8") as stream:
                yield from shlex.split(stream.read())
        else:
            yield word


def placed(folder: str, told: Mapping[str, Any]) -> str | None:
    """Return the folder of headers or libraries to take for one that the build named; None for this machine's own.

    One in the build environment, as numpy's headers, is the target's own where there is such.
    """
    for site in told["site"]:
        if folder == site or folder.startswith(site + os.sep):
            there = told["target_site"] + folder[len(site) :]
            return there if os.path.isdir(there) else folder
    plain = os.path.normpath(folder)
    own = any(plain == f or plain.startswith(f + os.sep) for f in (*_HOST_FOLDERS, *told["host_folders"]))
    return None if own else folder


def main(arguments: list[str]) -> None:
    """Become zig."""
    with open(arguments[0], encoding="utf-8") as stream:
        told = json.load(stream)
    tool, words = arguments[1], arguments[2:]
    if tool in ("cc", "c++") and words == ["-dumpmachine"]:
        sys.stdout.write(f"{told['gnu']}\n")
        return
    if not told["zig"]:
        sys.exit(told["without_zig"])
    command = translate(tool, words, told)
    os.execv(told["zig"], [told["zig"], *command])


if __name__ == "__main__":
    main(sys.argv[1:])
