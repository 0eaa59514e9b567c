"""SigMF archives: where in an uncompressed tar file the metadata and the samples lie. Nothing is unpacked."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from typing import BinaryIO, cast

from semcom_phy.errors import FormatError

MAX_MEMBERS = 1024
# Of an archive's own structure only headers are read, and the names and numbers of extended (pax) headers.
_MAX_READ = 1 << 16
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@dataclass(frozen=True)
class Member:
    """A regular file in the archive: `size` bytes from `offset` in the tar file. `missing`: bytes cut off its end."""

    name: str
    offset: int
    size: int
    missing: int = 0


class _HeaderReader:
    """The file as tarfile sees it: what would read more than a header at once is refused."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, which must be few."""
        if not 0 <= size <= _MAX_READ:
            raise FormatError("the archive has a header of an impossible size; it is damaged")
        return self._file.read(size)


def list_members(file: BinaryIO) -> list[Member]:
    """List the regular files of the uncompressed tar file `file`.

    Raises FormatError for compressed or damaged archives, more than `MAX_MEMBERS` members, links, devices, sparse
    files, and names that lead out of the archive.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(8)
    for magic, program in _COMPRESSED.items():
        if start.startswith(magic):
            raise FormatError(f"the archive is compressed with {program}; decompress it first, then give the tar file")
    file.seek(0)
    members: list[Member] = []
    try:
        with tarfile.open(fileobj=cast(BinaryIO, _HeaderReader(file)), mode="r:") as tar:
            count = 0
            while (entry := tar.next()) is not None:
                count += 1
                if count > MAX_MEMBERS:
                    raise FormatError(f"the archive has more than {MAX_MEMBERS} members; unpack it")
                if not entry.isdir():
                    members.append(_checked(entry, end))
                # Nothing can follow a member that is cut, and tarfile would refuse the whole archive for it.
                if -(-(entry.offset_data + entry.size) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE > end:
                    break
    except FormatError:
        raise
    except (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, EOFError, RecursionError) as error:
        raise FormatError(f"not a readable tar archive ({type(error).__name__}); is it a SigMF archive?") from None
    return members


def _checked(entry: tarfile.TarInfo, end: int) -> Member:
    name = entry.name
    if name.startswith("/") or ".." in name.split("/") or "\0" in name or "\\" in name:
        raise FormatError(f"the archive has a member outside its own folder, {name[:60]!a}; do not trust it")
    if not entry.isreg() or entry.issparse():
        raise FormatError(f"member {name[:60]!a} of the archive is no plain file; pack the recording again")
    if entry.size < 0 or entry.offset_data < 0:
        raise FormatError(f"member {name[:60]!a} of the archive has a negative size; the archive is damaged")
    present = max(min(entry.size, end - entry.offset_data), 0)
    return Member(name, entry.offset_data, present, entry.size - present)


def find_metadata(members: list[Member]) -> Member:
    """Return the only ``.sigmf-meta`` member, or raise FormatError."""
    # macOS adds a "._name" of its own to every file that it packs.
    found = [m for m in members if m.name.endswith(".sigmf-meta") and not m.name.rpartition("/")[2].startswith("._")]
    if len(found) != 1:
        raise FormatError(
            f"the archive holds {len(found)} recordings instead of one; unpack it and open the .sigmf-meta you want"
            if found
            else "the archive holds no .sigmf-meta file; is it a SigMF archive?"
        )
    return found[0]


def find_dataset(members: list[Member], metadata: Member, dataset: str | None) -> Member:
    """Return the member with the samples: beside `metadata`, ``core:dataset`` or the same stem with .sigmf-data."""
    stem = metadata.name[: -len(".sigmf-meta")]
    name = f"{stem}.sigmf-data" if dataset is None else f"{stem.rpartition('/')[0]}/{dataset}".lstrip("/")
    found = [member for member in members if member.name == name]
    if len(found) != 1:
        raise FormatError(f"the archive holds {len(found)} files named {name[-60:]!a}; it needs one")
    return found[0]
