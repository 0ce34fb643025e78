"""gittrack.yaml: the only door to yaml, which costs 20 ms and is opened only when the file exists."""

from typing import Any, NamedTuple

import yaml

from gittrack import errors

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Setting(NamedTuple):
    value: Any
    line: int


def read(path: str, name: str) -> dict[str, Setting]:
    """Top-level keys with their values and lines. `name` is how messages call the file. Raises BadConfig."""
    try:
        with open(path, "rb") as file:
            return _settings(file.read(), name)
    except OSError as error:
        raise errors.BadConfig(f"{name} cannot be read: {error.strerror}", "make it readable, or remove it") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise errors.BadConfig(f"{name}:{line}: {error.problem or error}", "correct the YAML there") from error
    except yaml.YAMLError as error:
        raise errors.BadConfig(f"{name}: {error}", "correct the YAML there") from error


def _settings(content: bytes, name: str) -> dict[str, Setting]:
    loader = _SafeLoader(content)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise errors.BadConfig(f"{name}: expected `key: value` lines", "see docs/configuration.md")
        found: dict[str, Setting] = {}
        for key, value in root.value:
            line = key.start_mark.line + 1
            text = str(key.value)
            if text in found:
                raise errors.BadConfig(
                    f"{name}:{line}: {text} is set a second time", f"first in line {found[text].line}"
                )
            found[text] = Setting(loader.construct_object(value, deep=True), line)
        return found
    finally:
        loader.dispose()
