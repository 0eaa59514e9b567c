"""Reading members of tar archives with bounds: nothing is unpacked to disk, nothing is unpickled."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from semcom_phy.errors import FormatError

MAX_MEMBERS = 1 << 20
MAX_MEMBER_BYTES = 1 << 28
MAX_TOTAL_BYTES = 1 << 33


def tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every regular file in a tar archive, compressed or not, in the archive's order.

    Raises FormatError when the archive is damaged or larger than any data set that is read here.
    """
    total = 0
    try:
        with tarfile.open(path, "r|*") as archive:
            for number, member in enumerate(archive):
                if number >= MAX_MEMBERS:
                    raise FormatError(f"{path} has more than {MAX_MEMBERS} members")
                if not member.isfile():
                    continue
                total += member.size
                if member.size > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
                    raise FormatError(f"{path} is too large ({member.name}: {member.size} bytes)")
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name.removeprefix("./"), content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FormatError(f"{path} is no readable tar archive ({error})") from None
    except Exception as error:
        # The decompressors raise errors of their own (zlib.error, lzma.LZMAError).
        if type(error).__module__ not in {"zlib", "_lzma", "lzma"}:
            raise
        raise FormatError(f"{path} is damaged ({error})") from None


def member_names(path: Path, most: int) -> list[str]:
    """The names of the first `most` members; empty when the file is no tar archive."""
    names: list[str] = []
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                names.append(member.name.removeprefix("./"))
                if len(names) == most:
                    break
    except Exception:  # whatever is wrong with it, it is no archive that a loader here knows
        return names
    return names
