"""Error messages of the library in the words of the command line: `level_dbfs` is `--level` there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from semcom_phy.errors import SemcomError


@contextmanager
def named_as_options(options: Mapping[str, str]) -> Iterator[None]:
    """Inside the block errors call parameters what the command line calls them; `options`: parameter → option."""
    try:
        yield
    except SemcomError as error:
        # The longest first: of "header" and "header_bits" the one that is meant.
        names = "|".join(map(re.escape, sorted(options, key=len, reverse=True)))
        message = re.sub(rf"(?<![\w-])(?:{names})(?!\w)", lambda found: options[found[0]], str(error))
        error.args = (message,)
        raise
