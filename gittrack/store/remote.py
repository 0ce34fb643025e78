"""S3, Google Cloud Storage, Azure Blob Storage: the one door of obstore.

One request per call, no retrying (`retry` does that) and no checking (`verify`). obstore takes credentials from the
environment, web identity tokens and instance metadata by itself; what it does not know, `profile` reads. They are held
by obstore alone: nothing here keeps, prints or writes them.
"""

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from gittrack import errors
from gittrack.store import faults, profile
from gittrack.store.address import Address
from gittrack.store.base import Bytes, Entry

_CONNECT = 10.0
_REGION = "us-east-1"  # what servers that are not Amazon's expect where nothing is said
_BULK = 1000
_Keys = Callable[[], Any]
_FAILED = (exceptions.BaseError, OSError)
_SERVERS = {"s3": "Amazon S3", "gs": "Google Cloud Storage", "az": "Azure"}
_CREATE = {
    "gs": "gcloud storage buckets create gs://{bucket}",
    "az": "az storage container create --name {bucket} --account-name {account}",
}


class RemoteStore:
    """Objects in a bucket, below a prefix."""

    def __init__(self, address: Address, environ: Mapping[str, str], patience: float = 60.0) -> None:
        self.url = address.url
        self.address = address
        self._store, endpoint, self._keys = _open(address, environ, patience)
        authority = _authority(environ)
        self._trust = ssl.create_default_context(cadata=authority.decode()) if authority else None
        server = urlsplit(endpoint).netloc if endpoint else _SERVERS[address.scheme]
        self._create = _CREATE.get(address.scheme, "").format(bucket=address.bucket, account=_account(address, environ))
        self._place = faults.Place(self.url, address.scheme, address.bucket, server, patience, self._create)

    def put(self, key: str, data: Bytes) -> None:
        try:
            obstore.put(self._store, key, data, use_multipart=False)
        except _FAILED as error:
            raise faults.explain(error, self._place, f"writing {key}") from None

    def get(self, key: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            if faults.fault(error).code in ("NoSuchBucket", "ContainerNotFound"):
                raise faults.explain(error, self._place, f"reading {key}") from None
            raise errors.MissingContent(f"{key} is not in {self.url}", "see `git track store status`") from None
        except _FAILED as error:
            raise faults.explain(error, self._place, f"reading {key}") from None

    def size(self, key: str) -> int | None:
        try:
            return int(obstore.head(self._store, key)["size"])
        except FileNotFoundError:
            return None
        except _FAILED as error:
            raise faults.explain(error, self._place, f"reading {key}") from None

    def list(self, prefix: str) -> Iterator[Entry]:
        # obstore's prefixes are whole folders: `chunks/a` would not find `chunks/ab/…`.
        folder = prefix.rpartition("/")[0] or None
        try:
            for page in obstore.list(self._store, folder):
                for found in page:
                    if found["path"].startswith(prefix):
                        yield Entry(found["path"], found["size"], found["last_modified"].timestamp())
        except _FAILED as error:
            raise faults.explain(error, self._place, f"listing {prefix or 'it'}") from None

    def delete(self, keys: Iterable[str]) -> None:
        remaining = iter(keys)
        while some := list(islice(remaining, _BULK)):
            try:
                obstore.delete(self._store, some)
            except FileNotFoundError:  # Azure stops at what is not there
                self._delete_singly(some)
            except _FAILED as error:
                raise faults.explain(error, self._place, f"deleting {len(some)} objects") from None

    def flush(self) -> None:
        """A bucket answers when it has what it was given."""

    def create(self) -> None:
        """Make the bucket; fine when it is there. Only on S3: the others need more than a name."""
        if self.address.scheme != "s3" or not isinstance(self._store, S3Store):
            raise errors.StoreFailed(f"{self.url} cannot be created from here", f"run: {self._create}")
        config, options = self._store.config, self._store.client_options
        bare = S3Store(config=config, client_options=options, credential_provider=self._keys)
        try:
            address = obstore.sign(bare, "PUT", "", timedelta(seconds=60))
            request = urllib.request.Request(address, method="PUT", data=_location(self._store.config))
            with urllib.request.urlopen(request, timeout=self._place.patience, context=self._trust):
                pass
        except urllib.error.HTTPError as error:
            text = error.read(10_000).decode("utf-8", "replace")
            if error.code == 409:  # it is there; whether it is ours, not every server says
                next(self.list(""), None)
                return
            answer = RuntimeError(f"status code: {error.code} {text}")
            raise faults.explain(answer, self._place, f"creating the bucket {self.address.bucket}") from None
        except urllib.error.URLError as error:
            said = "certificate" if isinstance(error.reason, ssl.SSLError) else ""
            answer = RuntimeError(f"HttpError {{ kind: Connect {said}")
            raise faults.explain(answer, self._place, "creating the bucket") from None
        except _FAILED as error:
            raise faults.explain(error, self._place, "creating the bucket") from None

    def _delete_singly(self, keys: Sequence[str]) -> None:
        for key in keys:
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                continue
            except _FAILED as error:
                raise faults.explain(error, self._place, f"deleting {key}") from None


def _location(config: Mapping[str, Any]) -> bytes | None:
    """Amazon wants the region in the request, except for its first one, where it must not be."""
    region = str(config.get("region", _REGION))
    if config.get("endpoint") or region == _REGION:
        return None
    place = f"<LocationConstraint>{region}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>".encode()


def _open(address: Address, environ: Mapping[str, str], patience: float) -> tuple[Any, str, _Keys | None]:
    found = {"s3": _s3, "gs": _gs, "az": _az}[address.scheme](address, environ)
    config: Any = {key: value for key, value in found.items() if value}
    if address.options.get("anonymous") == "true":
        config["skip_signature"] = True
    endpoint = str(config.get("endpoint") or config.get("base_url") or "")
    client: Any = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=min(_CONNECT, patience)),
        "timeout": timedelta(seconds=patience),
    }
    kind = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[address.scheme]
    keys = _pair(config) if address.scheme == "s3" else None
    authority = _authority(environ)
    if authority:
        client["root_certificate"] = authority
    try:
        store = kind(
            address.bucket,
            prefix=address.prefix or None,
            config=config,
            client_options=client,
            retry_config={"max_retries": 0},
            credential_provider=keys,
        )
    except _FAILED:  # its text may show part of a key
        raise errors.StoreFailed(
            f"{address.url} cannot be opened: its settings or credentials are not usable",
            faults.CREDENTIALS[address.scheme],
        ) from None
    return store, endpoint, keys


def _pair(config: dict[str, Any]) -> _Keys | None:
    """Take the keys out of the settings, which obstore would complete from the environment: a session token there
    belongs to other keys than those of a profile."""
    found = [config.pop(name, None) for name in ("access_key_id", "secret_access_key", "session_token")]
    if not found[0] or config.get("skip_signature"):
        return None
    return lambda: {"access_key_id": found[0], "secret_access_key": found[1], "token": found[2], "expires_at": None}


def _authority(environ: Mapping[str, str]) -> bytes | None:
    """Certificates that are trusted besides those of the system: those of a company, or of one's own server."""
    path = environ.get("AWS_CA_BUNDLE") or environ.get("SSL_CERT_FILE")
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise errors.StoreFailed(
            f"the certificates in {path} cannot be read: {error.strerror}", "correct AWS_CA_BUNDLE or SSL_CERT_FILE"
        ) from error


def _s3(address: Address, environ: Mapping[str, str]) -> dict[str, Any]:
    named = address.options.get("profile")
    keys_given = environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY") and not named
    shared = profile.read(environ, named)
    config: dict[str, Any] = {
        "region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or shared.pop("region", "") or _REGION,
        "endpoint": environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or shared.pop("endpoint", ""),
    }
    if keys_given:
        shared = {
            "access_key_id": environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
            "session_token": environ.get("AWS_SESSION_TOKEN", ""),
        }
    config |= shared
    config |= {key: value for key, value in address.options.items() if key in ("endpoint", "region")}
    style = address.options.get("style") or ("path" if config["endpoint"] else "virtual")
    return config | {"virtual_hosted_style_request": style == "virtual"}


def _gs(address: Address, environ: Mapping[str, str]) -> dict[str, Any]:
    del environ  # obstore knows all of Google's places
    return {"base_url": address.options.get("endpoint", "")}


def _account(address: Address, environ: Mapping[str, str]) -> str | None:
    found = address.options.get("account") or environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    return found or environ.get("AZURE_STORAGE_ACCOUNT")


def _az(address: Address, environ: Mapping[str, str]) -> dict[str, Any]:
    account = _account(address, environ)
    if not account:
        raise errors.StoreFailed(
            f"{address.url} names no storage account", "set AZURE_STORAGE_ACCOUNT_NAME, or add ?account=NAME"
        )
    key = environ.get("AZURE_STORAGE_ACCOUNT_KEY") or environ.get("AZURE_STORAGE_KEY", "")
    return {
        "account_name": account,
        "account_key": key,
        "sas_key": "" if key else environ.get("AZURE_STORAGE_SAS_TOKEN", ""),
        "endpoint": address.options.get("endpoint", ""),
    }
