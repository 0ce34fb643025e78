"""What stores on other machines do to us: each failure with a real server, and a proxy that breaks the line to it."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import servers
from proxy import Fault, Proxy, between
from servers import QUICK

from gittrack import errors
from gittrack.store import open as opening
from gittrack.store import transfer
from gittrack.store.base import Store
from gittrack.store.content import Content, chunk_key
from gittrack.store.directory import DirectoryStore
from gittrack.store.limit import LimitStore
from gittrack.store.memory import MemoryStore
from gittrack.store.mirror import MirrorStore
from gittrack.store.retry import Patience, RetryStore
from gittrack.store.verify import VerifyStore

DATA = os.urandom(3_000_000)
KEY = chunk_key(hashlib.sha256(DATA).hexdigest())
SKEWED = b"<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>"


@pytest.fixture
def proxy(s3: servers.S3):
    with between(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(s3: servers.S3, bucket: str, proxy: Proxy) -> Store:
    return opening.open_store(s3.url(bucket, proxy.endpoint), s3.environ, patience=QUICK, timeout=1.0)


@pytest.fixture
def direct(s3: servers.S3, bucket: str) -> Store:
    """The same store without the proxy."""
    return opening.open_store(s3.url(bucket), s3.environ)


def failed(call) -> errors.StoreFailed:
    with pytest.raises(errors.StoreFailed) as caught:
        call()
    assert caught.value.hint
    assert servers.KEY_ID not in str(caught.value) and caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_an_error_of_the_server_passes(store: Store, direct: Store, proxy: Proxy, status: int) -> None:
    proxy.faults = [Fault("PUT", status=status)] * 2 + [Fault("GET", status=status), Fault("HEAD", status=status)]
    store.put(KEY, DATA)
    assert store.get(KEY) == DATA and store.size(KEY) == len(DATA)
    assert direct.get(KEY) == DATA and not proxy.faults


def test_a_server_that_stays_broken_is_named_with_its_answer(store: Store, proxy: Proxy) -> None:
    proxy.always = [Fault("PUT", status=503, body=b"<Error><Code>SlowDown</Code></Error>"), Fault("GET", status=500)]
    said = failed(lambda: store.put(KEY, DATA))
    assert "answers 503 SlowDown to writing" in said.message and store.url in said.message
    assert len([one for one in proxy.seen if one.startswith("PUT")]) == QUICK.attempts
    assert "answers 500" in failed(lambda: store.get(KEY)).message
    assert "answers 500" in failed(lambda: list(store.list(""))).message


def test_a_server_that_is_gone(s3: servers.S3) -> None:
    url = s3.url("bucket", f"http://127.0.0.1:{servers.free_port()}")
    store = opening.open_store(url, s3.environ, patience=QUICK)
    for call in (
        lambda: store.put("a", b"1"),
        lambda: store.get("a"),
        lambda: store.size("a"),
        lambda: list(store.list("")),
    ):
        said = failed(call)
        assert "cannot be reached: 127.0.0.1:" in said.message and "network" in said.hint


@pytest.fixture
def own_authority(tmp_path: Path) -> Path:
    """The certificate of an authority, and beside it one for this machine that it has signed."""
    openssl = servers.program("openssl")
    name = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj")
    calls = [
        ("req", "-x509", *name, "/CN=Lab", "-keyout", "ca.key", "-out", "ca.pem"),
        ("req", "-x509", *name, "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem", "-CA", "ca.pem", "-CAkey",
         "ca.key", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"),
    ]  # fmt: skip
    for call in calls:
        subprocess.run([openssl, *call], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "ca.pem"


def test_a_certificate_that_nobody_knows_is_refused_unless_its_authority_is_named(own_authority: Path) -> None:
    place = own_authority.parent
    (place / "data").mkdir()
    with servers.rclone(place / "data", "--cert", str(place / "cert.pem"), "--key", str(place / "key.pem")) as server:
        url = server.url("bucket", server.endpoint.replace("http:", "https:"))
        for call in (
            lambda: opening.create(url, server.environ),
            lambda: opening.open_store(url, server.environ, patience=QUICK).get("a"),
        ):
            said = failed(call)
            assert "cannot be trusted" in said.message and "SSL_CERT_FILE" in said.hint
        for variable in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
            environ = {**server.environ, variable: str(own_authority)}
            opening.create(url, environ)
            opening.open_store(url, environ).put("a", b"1")
        with pytest.raises(errors.StoreFailed, match="cannot be read"):
            opening.open_store(url, {**server.environ, "SSL_CERT_FILE": str(place / "nothing")})


def test_a_name_that_does_not_resolve(s3: servers.S3) -> None:
    store = opening.open_store(s3.url("bucket", "http://no-such-host.invalid"), s3.environ, patience=QUICK)
    assert "cannot be reached: no-such-host.invalid" in failed(lambda: store.get("a")).message


def test_a_server_that_does_not_answer(store: Store, proxy: Proxy) -> None:
    proxy.always = [Fault("GET", hang=True)]
    said = failed(lambda: store.get(KEY))
    assert "did not answer in 1 s" in said.message and "goes on where it was" in said.hint


def test_a_connection_that_is_cut_while_sending_leaves_nothing_and_passes(
    store: Store, direct: Store, proxy: Proxy
) -> None:
    proxy.always = [Fault("PUT", cut_request=1_000_000)]
    said = failed(lambda: store.put(KEY, DATA))
    assert "was cut" in said.message or "cannot be reached" in said.message
    assert direct.size(KEY) is None and not list(direct.list(""))
    proxy.always, proxy.faults = [], [Fault("PUT", cut_request=1_000_000)]
    store.put(KEY, DATA)
    assert direct.get(KEY) == DATA and not proxy.faults


def test_a_connection_that_is_cut_while_reading(store: Store, direct: Store, proxy: Proxy) -> None:
    direct.put(KEY, DATA)
    proxy.faults = [Fault("GET", cut_response=1_000_000)]
    assert store.get(KEY) == DATA and not proxy.faults
    proxy.always = [Fault("GET", cut_response=1_000_000)]
    assert "was cut" in failed(lambda: store.get(KEY)).message


def test_bytes_that_change_on_the_way_are_read_again_and_never_given_out(
    store: Store, direct: Store, proxy: Proxy
) -> None:
    direct.put(KEY, DATA)
    proxy.faults = [Fault("GET", corrupt_response=True)]
    assert store.get(KEY) == DATA and not proxy.faults
    proxy.always = [Fault("GET", corrupt_response=True)]
    with pytest.raises(errors.CorruptContent, match="damaged") as caught:
        store.get(KEY)
    assert "--repair" in caught.value.hint


def test_bytes_that_change_while_they_are_sent_are_not_kept_as_good(s3, bucket, proxy: Proxy, direct: Store) -> None:
    plain = opening.open_store(s3.url(bucket, proxy.endpoint), s3.environ, patience=QUICK)
    proxy.faults = [Fault("PUT", corrupt_request=True)]
    RetryStore(VerifyStore(plain, read_back=True), QUICK).put(KEY, DATA)
    assert direct.get(KEY) == DATA and not proxy.faults


def test_a_clock_that_is_wrong(store: Store, proxy: Proxy) -> None:
    proxy.always = [Fault("PUT", status=403, body=SKEWED)]
    said = failed(lambda: store.put(KEY, DATA))
    assert "clock" in said.message and "set the clock" in said.hint


def test_a_bucket_in_another_region_is_not_taken_for_wrong_credentials(store: Store, proxy: Proxy) -> None:
    malformed = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    moved = b"<Error><Code>PermanentRedirect</Code></Error>"
    proxy.always = [Fault("GET", status=400, body=malformed), Fault("PUT", status=301, body=moved)]
    said = failed(lambda: store.get(KEY))
    assert "is in another region" in said.message and "?region=eu-west-1" in said.hint
    said = failed(lambda: store.put(KEY, DATA))
    assert "is in another region" in said.message and "?region=NAME" in said.hint


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials(s3: servers.S3, bucket: str, name: str) -> None:
    store = opening.open_store(s3.url(bucket), {**s3.environ, name: "wrong-wrong"}, patience=QUICK)
    for call in (lambda: store.put("a", b"1"), lambda: store.get("a"), lambda: list(store.list(""))):
        said = failed(call)
        assert "refuses the credentials" in said.message and "AWS_PROFILE" in said.hint
        assert "wrong-wrong" not in said.message + said.hint
    assert "does not permit" in failed(lambda: store.size("a")).message  # HEAD has no words


def test_no_credentials_at_all(bucket: str, s3: servers.S3, proxy: Proxy) -> None:
    proxy.always = [Fault(method, status=404) for method in ("GET", "PUT")]
    script = (
        "import sys, os\nfrom gittrack.store import open as opening\nfrom gittrack.store.retry import Patience\n"
        "from gittrack import errors\n"
        "store = opening.open_store(sys.argv[1], dict(os.environ), patience=Patience(1))\n"
        "try: store.put('a', b'1')\nexcept errors.StoreFailed as error: print(error.message, '|', error.hint)\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ["AWS_METADATA_ENDPOINT"] = proxy.endpoint
    done = subprocess.run(
        [sys.executable, "-c", script, s3.url(bucket)], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("there are no credentials for s3://bucket"), done.stdout


def test_a_bucket_that_is_not_there(s3: servers.S3) -> None:
    store = opening.open_store(s3.url("nobody-made-it"), s3.environ, patience=QUICK)
    for call in (lambda: store.put("a", b"1"), lambda: store.get("a"), lambda: list(store.list(""))):
        said = failed(call)
        assert "there is no bucket nobody-made-it at 127.0.0.1" in said.message and "--create" in said.hint


def test_a_store_that_may_only_be_read(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "chunk").write_bytes(b"1")
    with servers.rclone(tmp_path, "--read-only") as server:
        store = opening.open_store(server.url("shared"), server.environ, patience=Patience(2, 0.01, 0.02))
        assert store.get("chunk") == b"1"
        failed(lambda: store.put("other", b"2"))
        assert [entry.key for entry in store.list("")] == ["chunk"]


def test_many_files_arrive_over_a_line_that_breaks_all_the_time(s3, bucket, proxy: Proxy, tmp_path, direct) -> None:
    source, far = Content(MemoryStore()), s3.url(bucket, proxy.endpoint)
    files = [source.put_bytes(os.urandom(700_000))[:2] for _ in range(20)]
    proxy.faults = [
        Fault("PUT", cut_request=300_000), Fault("PUT", status=503), Fault("PUT", hang=True), Fault("PUT", status=500),
    ] * 2  # fmt: skip
    patience = Patience(8, 0.02, 0.1)
    target = Content(opening.open_store(far, s3.environ, patience=patience, timeout=1.0))
    assert transfer.copy(source, target, files).files == 20
    proxy.faults = [Fault("GET", cut_response=1000), Fault("GET", corrupt_response=True), Fault("GET", status=503)] * 2
    assert all(target.read(*file) == source.read(*file) for file in files)
    assert not proxy.faults


class Broken(MemoryStore):
    """Damages, loses, or refuses, as it is told."""

    def __init__(self, **said: bool) -> None:
        super().__init__()
        self.said = said

    def get(self, key: str) -> bytes:
        if self.said.get("gone"):
            raise errors.StoreFailed("gone", "wait")
        data = super().get(key)
        return data[:-1] + b"?" if self.said.get("damaged") else data

    def put(self, key: str, data: bytes) -> None:
        if self.said.get("read_only"):
            raise errors.StoreFailed("read-only", "ask")
        super().put(key, data)


def test_a_mirror_reads_from_whoever_has_it_right_and_heals_the_others() -> None:
    good, empty, gone = MemoryStore(), MemoryStore(), Broken(gone=True, read_only=True)
    bad = MemoryStore()
    bad.put(KEY, b"x" * len(DATA))
    good.put(KEY, DATA)
    mirror = MirrorStore([empty, bad, gone, good])
    assert mirror.get(KEY) == DATA
    assert empty.get(KEY) == bad.get(KEY) == DATA


def test_a_mirror_says_damaged_before_unreachable_before_missing() -> None:
    with pytest.raises(errors.MissingContent):
        MirrorStore([MemoryStore(), MemoryStore()]).get(KEY)
    with pytest.raises(errors.StoreFailed, match="gone"):
        MirrorStore([MemoryStore(), Broken(gone=True)]).get(KEY)
    bad = MemoryStore()
    bad.put(KEY, b"x")
    with pytest.raises(errors.CorruptContent):
        MirrorStore([bad, MemoryStore(), Broken(gone=True)]).get(KEY)


def test_a_file_is_read_from_the_store_that_answers_and_the_dead_one_is_not_asked_for_every_chunk(s3, tmp_path) -> None:
    with between(s3.endpoint) as proxy:
        proxy.always = [Fault(method, status=503) for method in ("GET", "HEAD")]
        dead = opening.open_store(s3.url("bucket", proxy.endpoint), s3.environ, patience=Patience(2, 0.01, 0.01))
        alive = Content(DirectoryStore(str(tmp_path / "alive")))
        data = os.urandom(3_900_000), os.urandom(9_000_000), b"one chunk"
        files = [alive.put_bytes(each)[:2] for each in data]
        mirror = Content(MirrorStore([dead, alive.store]))
        assert [mirror.read(*file) for file in files] == [*data]
        assert len(proxy.seen) == 2, proxy.seen
        with pytest.raises(errors.StoreFailed, match="answers 503"):
            mirror.read("0" * 64, 5)  # perhaps the dead one has it
        assert len(proxy.seen) == 2


def test_stores_that_all_failed_once_are_all_asked_again(s3: servers.S3, bucket: str, proxy: Proxy) -> None:
    both = [opening.open_store(s3.url(bucket, proxy.endpoint), s3.environ, patience=Patience(1)) for _ in range(2)]
    both[0].put(KEY, DATA)
    mirror = MirrorStore(both)
    proxy.faults = [Fault("GET", status=503)] * 2
    with pytest.raises(errors.StoreFailed, match="answers 503"):
        mirror.get(KEY)
    assert mirror.get(KEY) == DATA


def test_a_mirror_puts_to_all_although_one_refuses_and_says_so() -> None:
    good = MemoryStore()
    with pytest.raises(errors.StoreFailed, match="read-only"):
        MirrorStore([Broken(read_only=True), good]).put(KEY, DATA)
    assert good.get(KEY) == DATA


def test_what_cannot_pass_is_not_tried_again() -> None:
    class Counting(MemoryStore):
        tried = 0

        def put(self, key: str, data: bytes) -> None:
            self.tried += 1
            raise errors.StoreFailed("refused", "ask")

    store = Counting()
    with pytest.raises(errors.StoreFailed, match="refused"):
        RetryStore(store, QUICK).put("a", b"1")
    assert store.tried == 1


def test_the_rate_of_uploads_is_held_by_what_the_address_opens() -> None:
    store = opening.open_store("memory://limited", {}, upload_rate=1_000_000)
    start = time.monotonic()
    threads = [threading.Thread(target=store.put, args=(f"a{number}", b"x" * 100_000)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start >= 0.29
    assert isinstance(LimitStore(store, 1), LimitStore)
