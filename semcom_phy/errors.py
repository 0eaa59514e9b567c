"""Typed errors. Every one carries a single line that says what to do."""

from __future__ import annotations


class SemcomError(Exception):
    """Root of all errors that a user of the testbed can meet and mend."""


class ConfigurationError(SemcomError, ValueError):
    """An option or parameter is unknown or out of its range (command line: exit code 2)."""


class LinkError(SemcomError, RuntimeError):
    """A link could not be set up or died while it was used."""


class FormatError(SemcomError, ValueError):
    """Bytes from outside (a header, a file, a socket) do not follow their specification."""
