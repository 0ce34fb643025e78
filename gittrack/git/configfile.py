"""One git config file, read as text: what discovery needs before git is started.

git itself reads a repository's format, core.bare and core.worktree from this one file, without following includes, so a
small reader is exact here. Everything else about configuration is asked of git (settings.py).
"""

import re

_SECTION = re.compile(r"\s*\[\s*([-.\w]+)\s*(?:\"((?:[^\"\\]|\\.)*)\")?\s*\]")
_VARIABLE = re.compile(r"\s*([a-zA-Z][-\w]*)\s*(=?)(.*)", re.DOTALL)
_CONTINUED = re.compile(r"(?<!\\)((?:\\\\)*)\\\n")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}


def read(path: str) -> dict[str, str]:
    """`section.name` or `section.subsection.name` -> value, the last one of each; empty when there is no such file."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            return parse(file.read())
    except OSError:
        return {}


def parse(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    section = ""
    if "\\\n" in text:  # a continued line, unless that backslash is itself escaped; \r cannot stand in a value
        text = _CONTINUED.sub(r"\1\\\r", text)
    for line in text.split("\n"):
        header = _SECTION.match(line)
        if header:
            section = header[1].lower() + ("." + re.sub(r"\\(.)", r"\1", header[2]) if header[2] is not None else "")
            line = line[header.end() :]
        variable = _VARIABLE.match(line)
        if variable and section:
            found[f"{section}.{variable[1].lower()}"] = _value(variable[3]) if variable[2] else "true"
    return found


def is_true(value: str | None) -> bool:
    return value is not None and value.lower() not in ("false", "no", "off", "0", "")


def _value(text: str) -> str:
    """Quotes, escapes, comments, and blanks around, as git reads them."""
    out: list[str] = []
    kept = 0  # length up to which trailing blanks are part of the value
    quoted = False
    characters = iter(text.lstrip())
    for character in characters:
        if character == '"':
            quoted = not quoted
        elif character == "\\":
            escaped = next(characters, "\r")
            if escaped != "\r":
                out.append(_ESCAPES.get(escaped, escaped))
            kept = len(out)
            continue
        elif character in "#;" and not quoted:
            break
        else:
            out.append(character)
        if quoted or not character.isspace():
            kept = len(out)
    return "".join(out[:kept])
