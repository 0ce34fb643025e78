"""Sending a gigabyte to an S3 server on this machine, against the client library alone: large files and small ones."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import obstore
from obstore.store import S3Store

from benchmarks.harness import Line, clocked, in_turns
from benchmarks.scene import BIN, Scene
from gittrack.store import open as opening
from gittrack.store import transfer
from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore

KEY_ID, SECRET, BUCKET = "ACCESSKEY1", "SECRETKEY1", "bench"
FLOOR = "obstore alone sends the same files whole, in multipart uploads, {0} files at a time"


def measure(scene: Scene) -> Iterator[Line]:
    yield _with(scene, 16, 64_000_000, at_a_time=4, repeats=5)
    yield _with(scene, 10_000, 100_000, at_a_time=12, repeats=3)


def _with(scene: Scene, count: int, size: int, at_a_time: int, repeats: int) -> Line:
    folder = scene.folder(f"upload-{count}")
    content = Content(DirectoryStore(os.path.join(scene.root, f"upload-{count}-store")))
    files = []
    for number in range(count):
        path = os.path.join(folder, str(number))
        with open(path, "wb") as file:
            file.write(os.urandom(size))
        kept = content.put_file(path, durable=False)
        files.append((kept.sha256, kept.size))
    content.flush()
    environ = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "HOME": "/nonexistent"}

    def floor() -> float:
        with _server(scene) as endpoint, ThreadPoolExecutor(at_a_time) as pool:
            opening.create(f"s3://{BUCKET}?endpoint={endpoint}", environ)
            store = S3Store(
                BUCKET, endpoint=endpoint, access_key_id=KEY_ID, secret_access_key=SECRET, region="us-east-1",
                client_options={"allow_http": True},
            )  # fmt: skip
            names = [entry.path for entry in os.scandir(folder)]
            return clocked(lambda: [*pool.map(lambda path: _put(store, path), names)])

    def ours() -> float:
        with _server(scene) as endpoint:
            url = f"s3://{BUCKET}?endpoint={endpoint}"
            opening.create(url, environ)
            target = Content(opening.open_store(url, environ))
            return clocked(lambda: transfer.copy(content, target, files))

    least, taken = in_turns(repeats, floor, ours)
    shutil.rmtree(folder)
    work = f"push {count:,} files of {size / 1e6:g} MB to S3 (rclone on this machine), each byte checked"
    return Line(f"upload/{count}", work, FLOOR.format(at_a_time), least, taken, "s", 1.25)


def _put(store: S3Store, path: str) -> None:
    with open(path, "rb") as file:
        obstore.put(store, os.path.basename(path), file)


@contextlib.contextmanager
def _server(scene: Scene) -> Iterator[str]:
    """An empty server of S3; its endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [os.path.join(BIN, "rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    argv += ["--auth-key", f"{KEY_ID},{SECRET}", scene.folder("buckets")]
    with subprocess.Popen(argv, env={**scene.env, "RCLONE_CONFIG": os.devnull}, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
