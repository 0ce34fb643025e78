"""Functions of others, wrapped and only looked at: results, exceptions and exits stay theirs."""

from __future__ import annotations

from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def is_wrapped(function: Callable[..., Any]) -> bool:
    return hasattr(function, "_gittrack")


def wrapped(
    function: Callable[..., Any], busy: set[int], then: Callable[[Any, tuple[Any, ...], dict[str, Any]], None]
) -> Callable[..., Any]:
    """`function`, followed by `then(result, args, named)` when it has returned. `then` must not raise.

    What counts is a thread's outermost call of all functions that share `busy`, the threads that are in one.
    """

    def call(*args: Any, **named: Any) -> Any:
        thread = get_ident()
        if thread in busy:
            return function(*args, **named)
        busy.add(thread)
        try:
            result = function(*args, **named)
        finally:
            busy.discard(thread)
        then(result, args, named)
        return result

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(call, name, getattr(function, name))
    call.__wrapped__ = function  # type: ignore[attr-defined]
    call._gittrack = True  # type: ignore[attr-defined]
    return call
