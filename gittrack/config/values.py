"""How settings are read: from what YAML makes of a file, or from the text of git config or an environment variable.

Each function takes either and gives the value, or raises ValueError with what it expected.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_TRUE, _FALSE = frozenset(("true", "yes", "on", "1")), frozenset(("false", "no", "off", "0", ""))
_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?"
_STORES = ("embedded", "lfs")
_SCHEMES = ("s3://", "gs://", "az://", "file:///", "memory://")
_KEEP = frozenset(("best", "latest", "every"))
_LOGIN = r"//[^/?#]*@"
_OF_HOST = frozenset(
    ("host", "folder", "docker", "image", "gpus", "cpus", "memory", "shm_size", "mounts", "ports", "network")
)
_OF_BUILD = frozenset(("dockerfile", "context", "args", "target", "network", "ca"))
_GOALS = {"minimize": "minimize", "min": "minimize", "maximize": "maximize", "max": "maximize"}


class Redact(NamedTuple):
    patterns: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError("a text")


def texts(value: Any) -> tuple[str, ...]:
    """A list, or one text; in git config and variables separated by commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ValueError("a list of texts")


def metrics(value: Any) -> Any:
    """Files; or goals, as a mapping."""
    if isinstance(value, Mapping):
        return goals(value)
    try:
        return texts(value)
    except ValueError:
        raise ValueError("a list of files, or a mapping from metric to minimize or maximize") from None


def goals(value: Any) -> dict[str, str]:
    """`loss: minimize`; in text `loss=minimize, acc=maximize`."""
    expected = "a mapping from metric to minimize or maximize"
    if value is None:
        return {}
    if isinstance(value, str):
        value = {name: goal for name, _, goal in (part.partition("=") for part in texts(value))}
    if not isinstance(value, Mapping):
        raise ValueError(expected)
    found = {str(name).strip(): _GOALS.get(str(goal).strip().lower()) for name, goal in value.items()}
    if not all(found.values()):
        raise ValueError(expected)
    return {name: str(goal) for name, goal in found.items()}


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("true or false")


def size(value: Any) -> int:
    """Bytes: `10MB`, `1.5 GiB`, `500000`. MB is 1,000,000 bytes and MiB 1,048,576."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return int(value)
    match = re.fullmatch(_SIZE, value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError("a size such as 10MB")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * float((1024 if match[3] else 1000) ** power))


def hosts(value: Any) -> dict[str, dict[str, Any]]:
    """Names, each with what is said of that host."""
    expected = "a mapping from names to host:, image:, gpus: and the like"
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(expected)
    found = {str(name): {} if each is None else each for name, each in value.items()}
    if not all(isinstance(each, Mapping) for each in found.values()):
        raise ValueError(expected)
    for name, each in found.items():
        unknown = sorted(set(map(str, each)) - _OF_HOST)
        if unknown:
            raise ValueError(f"{expected}; of {name}, {unknown[0]} is not known (known: {', '.join(sorted(_OF_HOST))})")
    return {
        name: {str(key): texts(said) if key in ("mounts", "ports") else said for key, said in each.items()}
        for name, each in found.items()
    }


def gpus(value: Any) -> str | None:
    """`all`, `none`, `0,1` or `[0, 1]`."""
    if isinstance(value, list) and all(isinstance(each, (int, str)) for each in value):
        return ",".join(map(str, value))
    if value is None or (isinstance(value, (str, int)) and not isinstance(value, bool)):
        return str(value) if value not in (None, "") else None
    raise ValueError("all, none, or a list of numbers")


def build(value: Any) -> dict[str, Any]:
    """A Dockerfile; or a mapping of what a build gets."""
    expected = f"a path of a Dockerfile, or a mapping from {', '.join(sorted(_OF_BUILD))}"
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        return {"dockerfile": value}
    if not isinstance(value, Mapping) or not {str(name) for name in value} <= _OF_BUILD:
        raise ValueError(expected)
    found = {str(name): each for name, each in value.items() if each is not None}
    args = found.get("args", {})
    if not all(isinstance(found[name], str) for name in found if name != "args") or not isinstance(
        args, (Mapping, list)
    ):
        raise ValueError(expected)
    return found


def version(value: Any) -> str | None:
    """`3.12`. YAML takes it for a number, and 3.10 for 3.1, which no Python of today is."""
    if value is None or value == "":
        return None
    said = str(value)
    if isinstance(value, float) and said == "3.1":
        said = "3.10"
    if re.fullmatch(r"\d+\.\d+(\.\d+)?", said):
        return said
    raise ValueError("a version such as 3.12")


def commands(value: Any) -> tuple[str, ...]:
    """A list, or one command: there may be commas in it."""
    return (value,) if isinstance(value, str) and value else texts(value)


def limit(value: Any) -> int | None:
    """How many; nothing for `false`, `never` and 0."""
    word = str(value).strip().lower()
    if word in _FALSE or word == "never":
        return None
    if word.isdecimal() and len(word) < 10:
        return int(word)
    raise ValueError("a number, or false")


def automatic(value: Any) -> bool:
    """`auto`, or nothing for `false` and `never`."""
    word = str(value).strip().lower()
    if word == "auto":
        return True
    if value is None or word in _FALSE or word == "never":
        return False
    raise ValueError("auto, or false")


def rate(value: Any) -> int | None:
    """Bytes per second: `5MB`, `5MB/s`; nothing, `none` or 0 is no limit."""
    if value is None or value == "none":
        return None
    return size(re.sub(r"\s*/\s*s$", "", value) if isinstance(value, str) else value) or None


def flag_or_texts(value: Any) -> bool | tuple[str, ...]:
    try:
        return texts(value) if isinstance(value, list) else flag(value)
    except ValueError:
        if isinstance(value, str):
            return texts(value)
    raise ValueError("true, false, or a list of patterns")


def stores(value: Any) -> tuple[str, ...]:
    """`embedded`, `lfs`, a URL, or several. Credentials in a URL would be committed with it: they are refused."""
    found = texts(value)
    if not found or not all(each in _STORES or each.startswith(_SCHEMES) for each in found):
        raise ValueError(f"embedded, lfs, or a URL that begins with {', '.join(_SCHEMES[:-1])} (or a list of these)")
    if any(re.search(_LOGIN, each) for each in found):
        raise ValueError("without credentials (they are taken from the environment)")
    if len(found) > 1 and "embedded" in found:
        raise ValueError("embedded alone, or other stores (files are always kept in this clone as well)")
    return found


def keep(value: Any) -> dict[str, int]:
    """`{best: 3, latest: 1, every: 10}`; in text `best=3, latest=1`."""
    expected = "a mapping from best, latest or every to a number"
    if isinstance(value, str):
        value = {name.strip(): number.strip() for name, _, number in (part.partition("=") for part in texts(value))}
    if not isinstance(value or {}, Mapping) or not set(value or {}) <= _KEEP:
        raise ValueError(expected)
    found = {name: str(number) for name, number in (value or {}).items()}
    if not all(re.fullmatch(r"\d{1,9}", number) for number in found.values()):
        raise ValueError(expected)
    return {name: int(number) for name, number in found.items()}


def without_login(value: Any) -> str:
    """How a wrong value is shown: an address without what may be a password."""
    return re.sub(_LOGIN, "//…@", repr(value))


def redact(value: Any) -> Redact:
    """A list of patterns, or a mapping with `patterns` and `allow`. A text is one pattern: it may hold commas."""
    if value is None:
        return Redact()
    if isinstance(value, Mapping) and set(value) <= {"patterns", "allow"}:
        return Redact(_list(value.get("patterns")), _list(value.get("allow")))
    if isinstance(value, (str, list)):
        return Redact(_list(value))
    raise ValueError("a list of patterns, or a mapping with `patterns` and `allow`")


def _list(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else texts(value)
