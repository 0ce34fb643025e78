"""Addresses of stores, and where credentials are looked for."""

import http.server
import threading
from pathlib import Path

import pytest
import servers

from gittrack import errors
from gittrack.store import address, profile
from gittrack.store import open as opening


@pytest.mark.parametrize(
    ("url", "shown", "bucket", "prefix"),
    [
        ("s3://bucket", "s3://bucket", "bucket", ""),
        ("s3://bucket/a/b/?endpoint=http://127.0.0.1:9000&region=eu", "s3://bucket/a/b", "bucket", "a/b"),
        ("gcs://bucket/a", "gs://bucket/a", "bucket", "a"),
        ("azure://box?account=lab", "az://box", "box", ""),
        ("file:///mnt/a%20b/", "file:///mnt/a b", "/mnt/a b", ""),
    ],
)
def test_an_address_is_read(url: str, shown: str, bucket: str, prefix: str) -> None:
    found = address.parse(url)
    assert (found.url, found.bucket, found.prefix) == (shown, bucket, prefix)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/x", "is no store"),
        ("bucket/x", "is no store"),
        ("s3:///x", "names no bucket"),
        ("s3://bucket?endpoit=x", "an option endpoit; known are: anonymous, endpoint"),
        ("s3://bucket?endpoint=host:9000", "must begin with https:// or http://"),
        ("s3://bucket?style=odd", "style must be path or virtual"),
        ("s3://bucket/a/../b", "an empty part, . or .."),
        ("file://host/x", "write file:///path"),
        ("s3://[bucket", "cannot be read"),
        ("file:///mnt/runs#2", "file:///mnt/runs has a # after it: write %23"),
        ("s3://bucket?region=eu#hunter2", "s3://bucket has a # after it"),
        ("s3://bucket?Hunter2Hunter2", "an option that is none; known are"),
    ],
)
def test_what_is_no_address_is_told(url: str, said: str) -> None:
    with pytest.raises(errors.StoreFailed) as caught:
        opening.open_store(url, {})
    assert said in caught.value.message and "gittrack.yaml" in caught.value.hint


@pytest.mark.parametrize("url", ["s3://KEY:hunter2@bucket/x", "s3://bucket?endpoint=https://KEY:hunter2@host"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(errors.StoreFailed, match="holds credentials") as caught:
        opening.open_store(url, {})
    assert "hunter2" not in caught.value.message + caught.value.hint and "environment" in caught.value.hint


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    return tmp_path


def write(home: Path, credentials: str, config: str = "") -> dict[str, str]:
    (home / ".aws" / "credentials").write_text(credentials)
    (home / ".aws" / "config").write_text(config)
    return {"HOME": str(home)}


def test_keys_come_from_the_files_of_the_aws_tools(s3: servers.S3, bucket: str, home: Path) -> None:
    environ = write(
        home,
        f"[default]\naws_access_key_id = x\naws_secret_access_key = y\n"
        f"[lab]\naws_access_key_id = {servers.KEY_ID}\naws_secret_access_key = {servers.SECRET}\n",
        f"[profile lab]\nregion = us-east-1\nendpoint_url = {s3.endpoint}\n",
    )
    for url, more in ((f"s3://{bucket}?profile=lab", {}), (f"s3://{bucket}", {"AWS_PROFILE": "lab"})):
        store = opening.open_store(url, {**environ, **more})
        store.put("a", b"1")
        assert store.get("a") == b"1"
    with pytest.raises(errors.StoreFailed, match="refuses the credentials"):
        opening.open_store(s3.url(bucket), environ).get("a")


def test_variables_win_over_the_default_profile_and_a_named_profile_over_variables(home: Path, s3, bucket) -> None:
    environ = write(home, "[default]\naws_access_key_id = x\naws_secret_access_key = y\n")
    opening.open_store(s3.url(bucket), {**s3.environ, **environ}).put("a", b"1")
    with pytest.raises(errors.StoreFailed, match="refuses"):
        opening.open_store(s3.url(bucket) + "&profile=default", {**s3.environ, **environ}).get("a")


def test_the_endpoint_may_come_from_the_environment_and_the_address_wins(s3: servers.S3, bucket: str) -> None:
    environ = {**s3.environ, "AWS_ENDPOINT_URL": s3.endpoint}
    opening.open_store(f"s3://{bucket}", environ).put("a", b"1")
    wrong = {**s3.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    assert opening.open_store(s3.url(bucket), wrong).get("a") == b"1"


def test_a_profile_that_needs_a_browser_is_told_how_to_become_variables(home: Path) -> None:
    environ = write(home, "", "[profile lab]\nsso_session = corp\n")
    with pytest.raises(errors.StoreFailed, match="profile lab") as caught:
        profile.read(environ, "lab")
    assert "aws configure export-credentials --profile lab" in caught.value.hint


def test_a_profile_that_is_not_there_and_a_file_that_is_none(home: Path) -> None:
    environ = write(home, "[default]\naws_access_key_id = x\n")
    with pytest.raises(errors.StoreFailed, match="no AWS profile lab"):
        profile.read(environ, "lab")
    write(home, "aws_secret_access_key = hunter2\n")
    with pytest.raises(errors.StoreFailed, match="no AWS configuration") as caught:
        profile.read(environ)
    assert "hunter2" not in caught.value.message
    assert profile.read({"HOME": "/nonexistent"}) == {}


def test_azure_needs_an_account() -> None:
    with pytest.raises(errors.StoreFailed, match="no storage account") as caught:
        opening.open_store("az://box", {})
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.hint


def test_buckets_of_others_than_s3_are_made_by_their_own_tools() -> None:
    environ = {"AZURE_STORAGE_ACCOUNT_NAME": "lab", "AZURE_STORAGE_ACCOUNT_KEY": servers.AZURE_KEY}
    with pytest.raises(errors.StoreFailed) as caught:
        opening.create("az://box?account=lab", environ)
    assert caught.value.hint == "run: az storage container create --name box --account-name lab"


def test_a_session_token_of_the_environment_does_not_go_with_the_keys_of_a_profile(home: Path, monkeypatch) -> None:
    """obstore reads the process's own environment, too: the token of somebody's login must not be mixed in."""
    seen: list[tuple[str, str | None]] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.headers["authorization"], self.headers.get("x-amz-security-token")))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = write(home, "[lab]\naws_access_key_id = LABKEY\naws_secret_access_key = y\n")
    environ |= {"AWS_ACCESS_KEY_ID": "OWN", "AWS_SECRET_ACCESS_KEY": "z", "AWS_SESSION_TOKEN": "token-of-own"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    url = f"s3://bucket?endpoint=http://127.0.0.1:{server.server_port}"
    for store in (f"{url}&profile=lab", url):
        with pytest.raises(errors.GittrackError):
            opening.open_store(store, environ).get("a")
    server.shutdown()
    server.server_close()
    assert "Credential=LABKEY/" in seen[0][0] and seen[0][1] is None
    assert "Credential=OWN/" in seen[1][0] and seen[1][1] == "token-of-own"
