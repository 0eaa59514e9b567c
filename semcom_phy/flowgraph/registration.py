"""The project's blocks in GNU Radio Companion however it is started: an entry in the user's GNU Radio settings.

GNU Radio 3.10 reads ``~/.gnuradio/config.conf``; Companion looks for blocks in the folders that
``local_blocks_path`` in its section ``[grc]`` names, separated by colons. Everything else in the file stays as it is.

    python -m semcom_phy.flowgraph.registration add|remove
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from semcom_phy.errors import ConfigurationError, LinkError, SemcomError
from semcom_phy.flowgraph.python import BLOCKS

_SECTION: Final = "grc"
_OPTION: Final = "local_blocks_path"
_HEADING: Final = re.compile(r"\s*\[([^\]]*)\]")
_ENTRY: Final = re.compile(rf"\s*{_OPTION}\s*=(.*)")
#: A folder of block descriptions of this project, of this checkout or another one.
_OURS: Final = Path("semcom_phy", "gr", "grc").as_posix()


def settings_file() -> Path:
    """The user's settings of GNU Radio."""
    return Path.home() / ".gnuradio" / "config.conf"


def with_blocks(text: str, blocks: str) -> str:
    """Text of the settings with the folder `blocks` in the path; the entry of another checkout is replaced."""
    return _with_path(text, lambda folders: [*(f for f in folders if not f.endswith(_OURS)), blocks])


def without_blocks(text: str) -> str:
    """Text of the settings without this project's folders in the path."""
    return _with_path(text, lambda folders: [f for f in folders if not f.endswith(_OURS)])


def register(path: Path | None = None, blocks: Path = BLOCKS) -> bool:
    """Enter the blocks in the settings at `path`; True if the file has changed. Raises LinkError if it cannot."""
    return _rewrite(path or settings_file(), lambda text: with_blocks(text, blocks.as_posix()))


def unregister(path: Path | None = None) -> bool:
    """Take the blocks out of the settings at `path`; True if the file has changed. Raises LinkError if it cannot."""
    return _rewrite(path or settings_file(), without_blocks)


def _with_path(text: str, change: Callable[[list[str]], list[str]]) -> str:
    """`text` with the folders in the path changed; it is the last entry of several that counts."""
    lines = text.splitlines()
    section, heading, entry = "", None, None
    for number, line in enumerate(lines):
        if found := _HEADING.match(line):
            section = found[1].strip().lower()
            if section == _SECTION:
                heading = number
        elif section == _SECTION and _ENTRY.match(line):
            entry = number
    old = [] if entry is None else _folders(lines[entry])
    new = change(old)
    if new == old:
        return text
    value = f"{_OPTION} = {os.pathsep.join(new)}".rstrip()
    if entry is not None:
        lines[entry] = value
    elif heading is not None:
        lines.insert(heading + 1, value)
    else:
        lines += [f"[{_SECTION}]", value]
    return "\n".join(lines) + "\n"


def _folders(line: str) -> list[str]:
    entry = _ENTRY.match(line)
    return [folder.strip() for folder in entry[1].split(os.pathsep) if folder.strip()] if entry else []


def _rewrite(path: Path, change: Callable[[str], str]) -> bool:
    try:
        text = path.read_text() if path.exists() else ""
        new = change(text)
        if new == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        scratch.write_text(new)
        if path.exists():
            scratch.chmod(path.stat().st_mode & 0o777)
        scratch.replace(path.resolve())  # a link to a file elsewhere stays one
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise LinkError(f"cannot change {path}: {reason}; enter {BLOCKS} as {_OPTION} by hand") from None
    return True


def main(arguments: list[str]) -> int:
    """Run the program; returns its exit code."""
    actions = {"add": register, "remove": unregister}
    try:
        if len(arguments) != 1 or arguments[0] not in actions:
            raise ConfigurationError("say add or remove")
        changed = actions[arguments[0]]()
    except SemcomError as error:
        print(f"semcom: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    print(f"{settings_file()}: {'changed' if changed else 'as it should be'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
