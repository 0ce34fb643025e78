"""Which parameters are secrets. The recorder writes them where others will read, and has no scanner at hand.

The record layer's scanner looks at everything else; parameters must be clean before they reach the journal, because the
journal's bytes become the record. Names decide, and a few prefixes that issuers made to be recognised.
"""

from __future__ import annotations

REDACTED = "[redacted]"

_LAST = frozenset(
    ("password", "passwd", "pwd", "passphrase", "secret", "secrets", "token", "apikey", "credential", "credentials")
)
_BEFORE_KEY = frozenset(("api", "access", "private", "secret", "auth", "encryption", "signing", "account", "license"))
_PARTS = ("pass", "pwd", "secret", "token", "key", "credential")  # one of them is in every secret name
# What language models call a token is text in their vocabulary.
_VOCABULARY = frozenset(
    (
        *("pad", "mask", "eos", "bos", "unk", "cls", "sep", "start", "end", "stop", "begin", "special", "prompt"),
        *("image", "video", "audio", "first", "last", "next", "decoder", "placeholder", "separator"),
    )
)
_ISSUED = ("ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "hf_", "sk-", "xoxb-", "xoxp-", "AKIA", "ASIA")
_LEAST = 16  # shorter text after such a prefix is a coincidence
_SHORTEST_VALUE = 8  # a shorter value of an environment variable would be found by chance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def is_secret(name: str, value: object) -> bool:
    """Whether `value` under `name` must not be recorded."""
    return isinstance(value, (str, bytes)) and len(value) > 0 and is_secret_name(name)


def is_secret_name(name: str) -> bool:
    """Whether the last words of a parameter's name say that it is a secret: `db.password`, `apiKey`, `HF_TOKEN`."""
    words = _words(name)
    if not words:
        return False
    if words[-1] == "key":
        return len(words) > 1 and words[-2] in _BEFORE_KEY
    if words[-1] not in _LAST:
        return False
    return not (words[-1] == "token" and len(words) > 1 and words[-2] in _VOCABULARY)


def clean_text(text: str) -> str:
    """`text` without issued credentials, private keys, and passwords in URLs."""
    if "://" in text and "@" in text:
        text = "://".join([_without_login(part) if place else part for place, part in enumerate(text.split("://"))])
    if "PRIVATE KEY-----" in text:
        return REDACTED
    for prefix in _ISSUED:
        if prefix in text:
            text = _without_issued(text, prefix)
    return text


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """Values of variables whose names say that they are secret. A path to a secret is none."""
    return [
        value
        for name, value in environ.items()
        if len(value) >= _SHORTEST_VALUE
        and any(part in name.lower() for part in _PARTS)
        and is_secret_name(name)
        and not value.startswith(("/", "~"))
        and "\n" not in value
    ]


def _without_issued(text: str, prefix: str) -> str:
    """`text` without the credentials that begin with `prefix`, wherever a word begins."""
    at = text.find(prefix)
    while at >= 0:
        end = at + len(prefix)
        while end < len(text) and (text[end].isalnum() or text[end] in "_-"):
            end += 1
        whole = at == 0 or not text[at - 1].isalnum()
        if whole and end - at >= _LEAST and any(char.isdigit() for char in text[at:end]):
            text = text[:at] + REDACTED + text[end:]
            end = at + len(REDACTED)
        at = text.find(prefix, end)
    return text


def _without_login(rest: str) -> str:
    """`user:password@host/path` (what follows `://`) without the password."""
    end = min([place for place in map(rest.find, "/?# \n\"'") if place >= 0], default=len(rest))
    login, at, host = rest[:end].rpartition("@")
    if not at:
        return rest
    user, colon, _password = login.partition(":")
    return (f"{user}:{REDACTED}" if colon else REDACTED) + "@" + host + rest[end:]


def _words(name: str) -> list[str]:
    spaced = "".join([" " + char if _starts_word(name, place) else char for place, char in enumerate(name)])
    return "".join([char if char.isalnum() else " " for char in spaced]).lower().split()


def _starts_word(name: str, place: int) -> bool:
    return place > 0 and name[place].isupper() and name[place - 1].islower()
