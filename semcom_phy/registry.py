"""Name → object registries: one per kind of thing (channel, decoder, link, codec, autoencoder …)."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from semcom_phy.errors import ConfigurationError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f" Did you mean {close[0]!r}?" if close else ""


class Registry(Generic[T]):
    """Things of one kind by name; unknown names are answered with the nearest known one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters the decorated class or function under `name`."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise ConfigurationError(
                f"unknown {self.kind} {name!r}.{nearest(name, self.names())} Known: {', '.join(self.names())}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def names(self) -> list[str]:
        """Registered names, sorted."""
        return sorted(self._entries)


def build(registry: Registry[Callable[..., T]], name: str, parameters: Mapping[str, Any]) -> T:
    """Make the dataclass registered as `name` of its parameters.

    Raises ConfigurationError for an unknown name, an unknown or missing parameter (it names the nearest known one),
    and whatever the class raises for values out of range.
    """
    kind = registry[name]
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    known = [field.name for field in fields]
    takes = f"It takes: {', '.join(known) or 'no parameters'}"
    for parameter in parameters:
        if parameter not in known:
            raise ConfigurationError(
                f"{registry.kind} {name!r} has no parameter {parameter!r}.{nearest(parameter, known)} {takes}"
            )
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in parameters:
            raise ConfigurationError(f"{registry.kind} {name!r} needs the parameter {field.name!r}. {takes}")
    return kind(**parameters)
