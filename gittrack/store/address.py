"""The address of a store, as it stands in `store:`: which server, which bucket, which folder in it.

    s3://bucket/prefix?endpoint=https://host:9000&region=eu-central-1&profile=lab&style=path
    gs://bucket/prefix    az://container/prefix?account=name    file:///path    memory://name

An address is committed with gittrack.yaml and printed in messages, so nothing in it may be a secret.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from gittrack import errors

_OPTIONS = {
    "s3": frozenset(("endpoint", "region", "profile", "style", "anonymous")),
    "gs": frozenset(("endpoint", "anonymous")),
    "az": frozenset(("endpoint", "account", "anonymous")),
    "file": frozenset[str](),
    "memory": frozenset[str](),
}
_SYNONYMS = {"gcs": "gs", "azure": "az"}
_STYLES = ("", "path", "virtual")
_NAME = re.compile(r"[a-z_-]{1,30}")


class Address(NamedTuple):
    scheme: str
    bucket: str  # the path, of file://
    prefix: str  # without slashes at its ends
    options: Mapping[str, str]

    @property
    def url(self) -> str:
        """For messages."""
        if self.scheme == "file":
            return f"file://{self.bucket}"
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def parse(url: str) -> Address:
    """Raises StoreFailed, without repeating what may be a secret."""
    try:
        parts = urlsplit(url)
        host, options = parts.netloc, dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=False))
    except ValueError:
        raise _wrong("the address of a store cannot be read") from None
    scheme = _SYNONYMS.get(parts.scheme, parts.scheme)
    if "#" in url:  # the rest would be taken for a place within a document, and dropped
        raise _wrong(f"{_shown(parts)} has a # after it: write %23 where a name holds one")
    shown = _shown(parts)
    if scheme not in _OPTIONS:
        raise _wrong(f"{shown} is no store: its kind is none of {', '.join(_OPTIONS)}")
    if "@" in host:
        raise errors.StoreFailed(
            f"the address {shown} holds credentials", "take them out of the address and set them in the environment"
        )
    unknown = sorted(set(options) - _OPTIONS[scheme])
    if unknown:
        known = ", ".join(sorted(_OPTIONS[scheme])) or "none"
        name = unknown[0] if _NAME.fullmatch(unknown[0]) else "that is none"  # a key that was pasted, perhaps
        raise _wrong(f"{shown} has an option {name}; known are: {known}")
    if options.get("style", "") not in _STYLES:
        raise _wrong(f"{shown}: style must be path or virtual")
    return _address(scheme, host, unquote(parts.path), options, shown)


def _address(scheme: str, host: str, path: str, options: dict[str, str], shown: str) -> Address:
    if scheme == "file":
        if host or not path.startswith("/"):
            raise _wrong(f"{shown} is no path from the root: write file:///path")
        return Address(scheme, path.rstrip("/") or "/", "", options)
    if not host:
        raise _wrong(f"{shown} names no bucket")
    endpoint = options.get("endpoint", "")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise _wrong(f"{shown}: endpoint must begin with https:// or http://")
    if "@" in endpoint:
        raise errors.StoreFailed(
            f"the endpoint of {shown} holds credentials", "take them out and set them in the environment"
        )
    prefix = path.strip("/")
    if not {"", ".", ".."}.isdisjoint(prefix.split("/")) and prefix:
        raise _wrong(f"{shown}: its path holds an empty part, . or ..")
    return Address(scheme, host, prefix, options)


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _wrong(message: str) -> errors.StoreFailed:
    return errors.StoreFailed(message, "correct `store` in gittrack.yaml or git config track.store (docs/stores.md)")
