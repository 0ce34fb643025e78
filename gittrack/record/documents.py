"""YAML, behind a door of its own: only a project that declares such a file pays for the library."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads `1e-3` as the number that everybody means; YAML 1.1, which PyYAML follows, wants `1.0e-3`."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z", re.ASCII), list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """The first document of `text`. Raises ValueError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
