"""Options that several commands share, written down once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Result = TypeVar("_Result")


def with_options_of(group: Callable[..., Any]) -> Callable[[_Command], _Command]:
    """Decorator: a command that takes `**options` gets the parameters of `group` in their place.

    The command line then shows them behind the command's own, and the command hands them on as `group(**options)`.
    A parameter of the command hides one of the same name. Groups may themselves be decorated.
    """

    def extend(command: _Command) -> _Command:
        own = _parameters(command)
        shared = {name: parameter for name, parameter in _parameters(group).items() if name not in own}
        merged = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (own | shared).values()]

        @functools.wraps(command)
        def wrapper(**given: Any) -> Any:
            return command(**given)

        # typer reads both; resolved here, since the annotations of a group are names of its own module.
        vars(wrapper)["__signature__"] = inspect.Signature(merged)
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in merged}
        del wrapper.__wrapped__
        return wrapper  # type: ignore[return-value]

    return extend


def call_group(group: Callable[..., _Result], options: Mapping[str, Any]) -> _Result:
    """Call `group` with those of the `options` that are its own: for commands that have the options of several."""
    return group(**{name: options[name] for name in parameter_names(group)})


def parameter_names(group: Callable[..., Any]) -> frozenset[str]:
    """Names of the parameters of a group."""
    return frozenset(_parameters(group))


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Named parameters with their annotations resolved."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
