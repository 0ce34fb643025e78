"""The rules by which secrets are known: those of detect-secrets, which Yelp maintains, and a few that it lacks.

Importing the scanner costs 160 ms, so its patterns are taken out once and kept as JSON in the repository's cache,
together with what each needs in order to match (`secret_prefilter`). The cache is tied to the scanner's version and
ours; a missing, stale or damaged one is built again, and a read-only repository only costs the time.

Left out of the scanner's rules, each because it would take honest work away: the high-entropy detectors (every hash,
id and base64 image is one), the keyword detector (every `token = tokenizer(...)` is one), and public IP addresses (no
secret).
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence

from gittrack import errors
from gittrack.core.secret_scan import Rule, rule_of
from gittrack.lazy import lazy

_REVISION = 1  # of this module's own part in the cached rules

_HEADER = r"authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+([A-Za-z0-9._~+/=-]{8,})"
OWN = (
    Rule("Hugging Face Token", r"\bhf_[A-Za-z0-9]{34,}"),
    Rule("GitHub Fine-grained Token", r"github_pat_[A-Za-z0-9_]{36,}"),
    Rule("OpenAI or Anthropic Key", r"\bsk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{20,}"),
    Rule("Google API Key", r"AIza[0-9A-Za-z_-]{35}"),
    Rule("Slack App Token", r"xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]+"),
    Rule("Authorization Header", _HEADER, re.IGNORECASE, 1),
)


def load(cache: str | None, patterns: Sequence[str] = ()) -> tuple[Rule, ...]:
    """All rules. `cache`: a directory to keep them in. `patterns`: the user's own. Raises BadConfig for a bad one."""
    return (*_cached(cache), *(user_rule(pattern) for pattern in patterns))


def user_rule(pattern: str) -> Rule:
    """A rule from a pattern in the settings. Raises BadConfig."""
    try:
        re.compile(pattern.encode())
    except re.error as error:
        raise errors.BadConfig(
            f"redact: {pattern!r} is not a regular expression: {error}", "see https://docs.python.org/3/library/re.html"
        ) from error
    rule: Rule = lazy("gittrack.config.secret_prefilter").prepared(Rule(f"pattern {pattern}", pattern))
    return rule


def _cached(cache: str | None) -> tuple[Rule, ...]:
    path = os.path.join(cache, f"secret-rules-{_version()}.json") if cache else None
    rules = _read(path) if path else None
    if rules is None:
        rules = lazy("gittrack.config.secret_prefilter").build(OWN)
        if path:
            _write(path, rules)
    return rules


def _version() -> str:
    """Of scanner and module. Read from the scanner's own file: importlib.metadata costs 20 ms."""
    for place in sys.path:
        with contextlib.suppress(OSError), open(os.path.join(place, "detect_secrets", "__version__.py"), "rb") as file:
            found = re.search(rb"[0-9][0-9a-z.]*", file.read(200))
            return f"{found[0].decode() if found else 'unknown'}-{_REVISION}"
    return f"unknown-{_REVISION}"


def _read(path: str) -> tuple[Rule, ...] | None:
    """The rules in the cache, or None when there is none that can be trusted to be whole."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        rules = tuple(rule_of(fields) for fields in document["rules"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return rules if document.get("count") == len(rules) and rules else None


def _write(path: str, rules: tuple[Rule, ...]) -> None:
    temporary = f"{path}.{os.getpid()}"
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump({"count": len(rules), "rules": rules}, file)
        os.replace(temporary, path)
