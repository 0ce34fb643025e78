"""What obstore says when something fails, turned into what happened, where, and what to do next.

obstore has an exception for "not found" and one for "not permitted"; all else is a text. It holds the status, the
server's own code (`<Code>SlowDown</Code>`) and the kind of the connection's error. The text itself is never shown and
never chained: the address of a request may carry a signature.
"""

import re
from typing import NamedTuple

from gittrack import errors

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_METADATA = (
    "169.254.169.254",
    "/latest/api/token",
    "/latest/meta-data",
    "metadata.google.internal",
    "/metadata/identity",
    "token request",
    "WebIdentity",
)
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_WRONG_KEYS = frozenset(
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken",
     "AuthenticationFailed", "AuthorizationFailure", "InvalidSecurity", "MissingSecurityHeader")
)  # fmt: skip
_REGION = ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException")
_EXPECTED = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
_SKEW = ("RequestTimeTooSkewed", "RequestExpired")
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504, 509))

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws configure`",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN",
}


class Place(NamedTuple):
    """Where a request went."""

    url: str
    scheme: str
    bucket: str
    server: str  # host and port of the endpoint, or the provider's name
    patience: float  # seconds that an answer may take
    create: str = ""  # the command that makes the bucket, where gittrack does not


class Fault(NamedTuple):
    status: int
    code: str  # the server's word for it
    kind: str  # of an error of the connection: Connect, Timeout, Request, …
    text: str


def fault(error: BaseException) -> Fault:
    text = str(error)
    status, code, kind = _STATUS.search(text), _CODE.search(text), _KIND.search(text)
    return Fault(int(status[1]) if status else 0, code[1] if code else "", kind[1] if kind else "", text)


def explain(error: BaseException, place: Place, doing: str) -> errors.StoreFailed:
    """`doing` as in "reading chunks/ab/…"."""
    what = fault(error)
    if any(word in what.text.partition("Debug source")[0] for word in _METADATA):
        return errors.StoreFailed(f"there are no credentials for {place.url}", CREDENTIALS[place.scheme])
    for judge in (_no_bucket, _elsewhere, _refused, _busy, _connection):
        found = judge(what, place, doing)
        if found is not None:
            return found
    said = " ".join(part for part in (str(what.status or ""), what.code) if part) or type(error).__name__
    return errors.StoreFailed(f"{place.url}: {doing} failed ({said})", "see docs/stores.md; `git track store status`")


def _no_bucket(what: Fault, place: Place, doing: str) -> errors.StoreFailed | None:
    if what.code in _NO_BUCKET or (what.status == 404 and doing.startswith(("writing", "listing"))):
        return errors.StoreFailed(
            f"there is no bucket {place.bucket} at {place.server}",
            f"correct `store`, or run: {place.create or 'git track store push --create'}",
        )
    return None


def _elsewhere(what: Fault, place: Place, doing: str) -> errors.StoreFailed | None:
    if what.code in _REGION or what.status in (301, 307) or "redirect without LOCATION" in what.text:
        named = _EXPECTED.search(what.text)
        return errors.StoreFailed(
            f"{place.bucket} at {place.server} is in another region ({doing})",
            f"add ?region={named[1] if named else 'NAME'} to `store`, or correct the endpoint",
        )
    return None


def _refused(what: Fault, place: Place, doing: str) -> errors.StoreFailed | None:
    if what.code in _SKEW:
        return errors.StoreFailed(
            f"{place.url} refuses: the clock of this machine differs too much from the server's",
            "set the clock (`timedatectl set-ntp true`), then run the command again",
        )
    if what.code in _WRONG_KEYS or what.status == 401:
        return errors.StoreFailed(
            f"{place.url} refuses the credentials ({what.code or 401})", CREDENTIALS[place.scheme]
        )
    if what.code == "ExpiredToken":
        return errors.StoreFailed(
            f"the credentials for {place.url} have expired", "log in again with your cloud's tool"
        )
    if what.status == 403:
        said = f" ({what.code})" if what.code else ""
        return errors.StoreFailed(
            f"{place.url} does not permit {doing}{said}",
            "check the credentials, or ask the bucket's owner for the permission to list, read and write objects",
        )
    return None


def _busy(what: Fault, place: Place, doing: str) -> errors.StoreFailed | None:
    if what.status in _AGAIN or what.code == "SlowDown":
        said = " ".join(part for part in (str(what.status or ""), what.code) if part)
        return passing(
            f"{place.url} answers {said} to {doing}", "the server is busy or broken: run the command again later"
        )
    return None


def _connection(what: Fault, place: Place, doing: str) -> errors.StoreFailed | None:
    if what.kind == "Connect" and "certificate" in what.text.lower():
        return errors.StoreFailed(
            f"{place.url} cannot be trusted: the certificate of {place.server} is signed by nobody known here",
            "set SSL_CERT_FILE to the certificate of your authority (PEM), or correct the endpoint",
        )
    if what.kind == "Connect":
        return passing(
            f"{place.url} cannot be reached: {place.server} does not answer",
            "check the network and the endpoint of the store, then run the command again",
        )
    if what.kind == "Timeout":
        return passing(
            f"{place.url} did not answer in {place.patience:g} s ({doing})",
            "check the network, then run the command again: it goes on where it was",
        )
    if what.kind or "HTTP error" in what.text or "error decoding response body" in what.text:
        return passing(
            f"the connection to {place.url} was cut ({doing})", "run the command again: it goes on where it was"
        )
    return None


def passing(message: str, hint: str) -> errors.StoreFailed:
    """A failure that may go away by itself: worth another try."""
    found = errors.StoreFailed(message, hint)
    found.passing = True
    return found
