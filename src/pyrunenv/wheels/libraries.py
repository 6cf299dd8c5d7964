"""Which libraries a platform has, and a bundle's Python brings along, as data.

Linux: what every distribution that manylinux (PEP 600) speaks of has, as auditwheel's policies list it. macOS: what lies
below the folders that only Apple writes to. Windows: the documented libraries of Windows 10
(https://learn.microsoft.com/windows/win32/api/), and those beside ``python.exe``.
"""

from __future__ import annotations

import re

from pyrunenv.interpreters.formats import Format

_LINUX = {
    "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libmvec.so.1", "libdl.so.2",
    "librt.so.1", "libpthread.so.0", "libutil.so.1", "libnsl.so.1", "libresolv.so.2", "libanl.so.1", "libgcc_s.so.1",
    "libstdc++.so.6", "libatomic.so.1", "libz.so.1", "libexpat.so.1", "libX11.so.6", "libXext.so.6", "libXrender.so.1",
    "libICE.so.6", "libSM.so.6", "libGL.so.1", "libglib-2.0.so.0", "libgobject-2.0.so.0", "libgthread-2.0.so.0",
}  # fmt: skip
_MACOS = ("/usr/lib/", "/System/Library/")
_WINDOWS = {
    "aclui", "activeds", "advapi32", "authz", "avicap32", "avifil32", "avrt", "bcrypt", "bcryptprimitives",
    "bthprops.cpl", "cabinet", "cfgmgr32", "comctl32", "comdlg32", "credui", "crypt32", "cryptbase", "cryptnet",
    "cryptui", "d2d1", "d3d10", "d3d10_1", "d3d11", "d3d12", "d3d9", "d3dcompiler_47", "dbgeng", "dbghelp", "dcomp",
    "ddraw", "dhcpcsvc", "dhcpcsvc6", "dinput8", "dnsapi", "dsound", "dwmapi", "dwrite", "dxgi", "dxva2", "esent",
    "evr", "fltlib", "fwpuclnt", "gdi32", "gdi32full", "gdiplus", "glu32", "hid", "httpapi", "icmp", "imagehlp",
    "imm32", "inetmib1", "iphlpapi", "kernel32", "kernelbase", "ktmw32", "loadperf", "lz32", "mf", "mfplat",
    "mfreadwrite", "mpr", "msacm32", "mscoree", "msdmo", "msi", "msimg32", "mstask", "msvcrt", "msvfw32", "mswsock",
    "ncrypt", "ndfapi", "netapi32", "netutils", "newdev", "ntdll", "ntdsapi", "odbc32", "odbccp32", "ole32", "oleacc",
    "oleaut32", "oledlg", "opengl32", "pdh", "powrprof", "propsys", "psapi", "quartz", "query", "rasapi32", "rpcrt4",
    "rstrtmgr", "samcli", "sas", "secur32", "sensapi", "setupapi", "sfc", "sfc_os", "shcore", "shell32", "shlwapi",
    "snmpapi", "srvcli", "sspicli", "tapi32", "tbs", "tdh", "traffic", "ucrtbase", "urlmon", "user32", "userenv",
    "usp10", "uxtheme", "version", "vssapi", "wer", "wevtapi", "windowscodecs", "winhttp", "wininet", "winmm",
    "winscard", "winspool.drv", "winsta", "wintrust", "wintypes", "winusb", "wkscli", "wlanapi", "wldap32", "wmvcore",
    "ws2_32", "wsock32", "wtsapi32", "xinput1_4", "xinput9_1_0", "xmllite",
}  # fmt: skip
_API_SETS = ("api-ms-win-", "ext-ms-win-")
_OF_PYTHON = {"vcruntime140.dll", "vcruntime140_1.dll", "python3.dll"}
_SPARED = ("msvcp140", "concrt140.dll")
"""Some versions of Visual C++'s library name another one, for Windows XP, which they do without elsewhere."""
_PYTHON = re.compile(r"python3(\d+)t?\.dll", re.IGNORECASE)


def missing(path: str, needs: tuple[str, ...], kind: Format, held: frozenset[str]) -> tuple[str, ...]:
    """Return those of a member's needs that neither the platform nor the wheel has.

    ``held`` are the base names of the wheel's members, in small letters where Windows is to find them.
    """
    absent = tuple(name for name in needs if not _on_platform(name, kind) and not _in_wheel(name, kind, held))
    spared = path.rpartition("/")[2].lower().startswith(_SPARED[0])
    return tuple(name for name in absent if not (spared and name.lower() == _SPARED[1]))


def python_of(name: str) -> str | None:
    """Return ``3.12`` of ``python312.dll``; None of what is no Python of one minor version."""
    match = _PYTHON.fullmatch(name)
    return f"3.{match[1]}" if match else None


def _on_platform(name: str, kind: Format) -> bool:
    if kind == "elf":
        return name in _LINUX
    if kind == "mach-o":
        return name.startswith(_MACOS) and "/libpython" not in name
    low = name.lower()
    return (
        low in _OF_PYTHON or low.removesuffix(".dll") in _WINDOWS or low.startswith(_API_SETS) or bool(python_of(low))
    )


def _in_wheel(name: str, kind: Format, held: frozenset[str]) -> bool:
    """Whether a member can be what is meant: a bare name where they are searched for, or one relative to the file."""
    folder, _, base = name.rpartition("/")
    if kind == "elf":
        return base in held and (not folder or folder.startswith(("$ORIGIN", "${ORIGIN}")))
    if kind == "mach-o":
        return base in held and folder.startswith(("@rpath", "@loader_path"))
    return name.lower() in held
