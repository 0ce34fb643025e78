"""The stores of a repository: whose they are, what they are to have, and `git track store`."""

import json
import os
from pathlib import Path

import pytest
import servers
from builder import T0, journal, opened, write_runs
from proxy import Fault, between

from gittrack import errors
from gittrack.config import settings as configuration
from gittrack.runs import stores
from gittrack.store.content import Content, chunk_key, list_key
from gittrack.store.directory import DirectoryStore
from gittrack.store.memory import MemoryStore

PARCEL = "1767323045000-77-0abc"


@pytest.fixture
def repository(repo: Path):
    found = opened(repo)
    yield found
    found.close()


@pytest.fixture
def files(repository, repo: Path) -> list[tuple[str, int]]:
    """A run with two files in the store of the clone, one of several chunks."""
    local = stores.local(repository)
    kept = [local.put_bytes(os.urandom(size)) for size in (2_000_000, 9_000_000)]
    lines = [
        {"e": "kept", "in": "store", "mode": "100644", "parcel": PARCEL, "path": f"model{number}.pt",
         "sha256": one.sha256, "size": one.size, "t": 0.5, "w": T0 + 0.5}
        for number, one in enumerate(kept)
    ]  # fmt: skip
    size = sum(one.size for one in kept)
    point = {"e": "checkpoint", "m": {"loss": 0.1}, "parcel": PARCEL, "primary": None, "s": 1, "t": 0.4, "w": T0 + 0.4}
    whole = {"e": "parcel", "files": 2, "left_out": [], "parcel": PARCEL, "size": size, "t": 0.5, "w": T0 + 0.5}
    data = journal(1, {"lr": 0.1}, [0.5], more=[point, *lines, whole]).replace(b'"format":1', b'"format":2', 1)
    write_runs(repository, [data])
    return [(one.sha256, one.size) for one in kept]


@pytest.fixture
def url(s3: servers.S3, bucket: str, repo: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store on a server, in the settings."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, s3.environ[name])
    url = s3.url(f"{bucket}/project")
    (repo / "gittrack.yaml").write_text(f"experiment: x\nstore: '{url}'\n")
    return url


@pytest.fixture
def second(tmp_path: Path, repo: Path, url: str) -> Content:
    """A second store, a mirror of the first."""
    place = tmp_path / "mirror"
    (repo / "gittrack.yaml").write_text(f"store: ['{url}', '{place.as_uri()}']\n")
    return Content(DirectoryStore(str(place)))


def far(url: str, s3: servers.S3) -> Content:
    return Content(stores.open_store(url, s3.environ))


def emptied(repository) -> Content:
    """The store of this clone, after somebody has deleted it."""
    local = stores.local(repository)
    local.store.delete([entry.key for entry in local.store.list("")])
    return local


def test_the_files_that_runs_need_are_found(repository, files) -> None:
    assert sorted(stores.needed(repository)) == sorted(files)


def test_push_status_and_pull_bring_files_there_and_back(repository, files, url, s3, track) -> None:
    before = json.loads(track("store", "status", "--json").stdout)
    assert [(row["files"], row["lacks"]) for row in before] == [(2, 0), (0, 2)]
    planned = track("store", "push", "--dry-run").stdout
    assert "would copy 2 files, 11.0 MB" in planned and not list(far(url, s3).store.list(""))
    assert "copied 2 files, 11.0 MB" in track("store", "push").stdout
    assert all(far(url, s3).has(*file) for file in files)
    local = emptied(repository)
    assert "`git track store pull`" in track("store", "status").stdout
    assert "this clone: copied 2 files, 11.0 MB" in track("store", "pull", "latest").stdout
    assert all(len(local.read(*file)) == file[1] for file in files)
    assert "copied 0 files, 0 B, 2 were there" in track("store", "push").stdout


def test_a_bucket_is_made_when_asked_for(files, s3, repo, track, monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, s3.environ[name])
    (repo / "gittrack.yaml").write_text(f"store: '{s3.url('never-made-before')}'\n")
    for action in (("status",), ("push", "--dry-run"), ("verify",), ("push",)):
        failed = track("store", *action, code=79)
        assert "there is no bucket never-made-before" in failed.stderr and "push --create" in failed.stderr
    assert "copied 2 files" in track("store", "push", "--create").stdout


def test_a_store_belongs_to_one_repository(repository, files, url, s3, repo, git, track, tmp_path) -> None:
    track("store", "push")
    said = json.loads(far(url, s3).store.get("gittrack.json"))
    assert said == {"format": 1, "repository": git("rev-list", "--max-parents=0", "HEAD").strip()}
    other = tmp_path / "other"
    git("init", "-q", str(other))
    git("-C", str(other), "commit", "-q", "--allow-empty", "-m", "Another project")
    (other / "gittrack.yaml").write_text((repo / "gittrack.yaml").read_text())
    for action in (("push",), ("push", "--dry-run")):
        refused = track("store", *action, code=79, cwd=other)
        assert "belongs to another repository" in refused.stderr and "--join" in refused.stderr
    track("store", "push", "--join", cwd=other)
    track("store", "push", cwd=other)
    with pytest.raises(errors.StoreFailed, match="also used by a repository"):
        stores.may_collect(repository, far(url, s3).store)


def test_clones_share_a_store_and_a_shallow_one_may_add_but_not_clean_up(repository, url, s3, repo, git, tmp_path):
    git("commit", "-q", "--allow-empty", "-m", "More")
    store = far(url, s3).store
    stores.claim(repository, store)
    git("clone", "-q", "--depth", "1", repo.as_uri(), str(tmp_path / "shallow"))
    shallow = opened(tmp_path / "shallow")
    stores.claim(shallow, store)
    with pytest.raises(errors.StoreFailed, match="shallow") as caught:
        stores.may_collect(shallow, store)
    assert "--unshallow" in caught.value.hint
    stores.may_collect(repository, store)


def test_a_directory_that_is_not_mounted_any_more_is_not_begun_anew(files, repo, track, tmp_path) -> None:
    place, elsewhere = tmp_path / "mounted", tmp_path / "elsewhere"
    (repo / "gittrack.yaml").write_text(f"store: '{place.as_uri()}'\n")
    assert "copied 2 files" in track("store", "push").stdout
    place.rename(elsewhere)
    for action in (("push",), ("push", "--dry-run")):
        refused = track("store", *action, code=79)
        assert "not mounted, perhaps" in refused.stderr and "push --create" in refused.stderr
    assert not place.exists()
    elsewhere.rename(place)
    assert "2 were there" in track("store", "push").stdout
    place.rename(elsewhere)
    assert "copied 2 files" in track("store", "push", "--create").stdout


def test_an_owner_file_that_is_none_is_not_overwritten(repository, url, s3) -> None:
    store = far(url, s3).store
    for data in (b"{", b"[1]", b'{"format":1}', b'{"format":1,"repository":3}'):
        store.put("gittrack.json", data)
        with pytest.raises(errors.StoreFailed, match="did not write"):
            stores.claim(repository, store)
    store.put("gittrack.json", b'{"format":2}')
    with pytest.raises(errors.NewerFormat):
        stores.claim(repository, store)


def test_a_repository_without_a_commit_is_told_what_to_do(tmp_path, git) -> None:
    git("init", "-q", str(tmp_path / "new"))
    with pytest.raises(errors.StoreFailed, match="no commit yet"):
        stores.claim(opened(tmp_path / "new"), MemoryStore())


def test_verify_finds_damage_and_repair_takes_good_bytes_from_this_clone(repository, files, url, s3, track) -> None:
    track("store", "push")
    store = far(url, s3)
    assert "2 files whole (11.0 MB)" in track("store", "verify").stdout
    chunk = store.chunks(*files[1])[1]
    store.store.put(chunk_key(chunk.sha256), b"x" * chunk.size)
    store.store.delete([chunk_key(files[0][0]), list_key(files[0][0])])
    found = track("store", "verify", code=81).stdout
    assert "1 damaged, 1 missing" in found and "--repair" in found
    report = json.loads(track("store", "verify", "--json", code=81).stdout)[store.store.url]
    assert report["bad"] == [chunk_key(chunk.sha256)] and report["damaged"][0]["sha256"] == files[1][0]
    assert "2 files whole" in track("store", "verify", "--repair").stdout
    assert "2 files whole" in track("store", "verify").stdout


def test_damage_at_one_store_is_repaired_from_the_other(repository, files, url, s3, second, track) -> None:
    assert track("store", "push").stdout.count("copied 2 files") == 2
    emptied(repository)
    store = far(url, s3)
    chunk = store.chunks(*files[1])[0]
    store.store.put(chunk_key(chunk.sha256), b"x" * chunk.size)
    second.store.delete(second.objects(*files[0]))
    track("store", "verify", code=81)
    track("store", "verify", "--repair")
    assert all(each.read(*file) for each in (store, second) for file in files)


def test_reading_through_a_mirror_heals_the_store_that_lacks_something(
    repository, files, url, s3, second, track
) -> None:
    track("store", "push")
    emptied(repository)
    store = far(url, s3)
    store.store.delete(store.objects(*files[1]))
    track("store", "pull")
    assert stores.local(repository).read(*files[1]) == store.read(*files[1])


def test_chunks_are_fetched_many_at_once_from_a_store_far_away(repository, files, url, s3, repo, track) -> None:
    track("store", "push")
    emptied(repository)
    with between(s3.endpoint) as proxy:
        (repo / "gittrack.yaml").write_text(f"store: '{url.replace(s3.endpoint, proxy.endpoint)}'\n")
        settings = configuration.load(repository.paths, repository.git.environ, {})
        proxy.always = [Fault("GET", delay=0.5)]
        data = stores.contents(repository, settings)[0].read(*files[1])
    assert len(data) == files[1][1] and sum(line.startswith("GET") for line in proxy.seen) > 4
    assert proxy.most_at_once > 1


def test_one_store_that_is_gone_does_not_keep_the_other_from_its_files(
    repository, files, url, s3, second, repo, track
) -> None:
    gone = f"s3://bucket?endpoint=http://127.0.0.1:{servers.free_port()}"
    text = (repo / "gittrack.yaml").read_text().replace(url, gone)
    (repo / "gittrack.yaml").write_text(text)
    failed = track("store", "push", "--create", code=79)
    assert "cannot be reached" in failed.stderr and f"{second.store.url}: copied" in failed.stdout
    assert all(second.has(*file) for file in files)
    (repo / "gittrack.yaml").write_text(text.replace(gone, s3.url("nobody-makes-it")))  # which is known sooner
    failed = track("store", "verify", code=79)
    assert "there is no bucket" in failed.stderr and f"{second.store.url}: 2 files whole" in failed.stdout
    emptied(repository)
    assert "copied 2 files" in track("store", "pull").stdout


def test_migrate_copies_all_and_names_the_line_to_change(repository, files, url, s3, repo, track, tmp_path) -> None:
    track("store", "push")
    emptied(repository)
    target = (tmp_path / "disk").as_uri()
    said = track("store", "migrate", "--to", target).stdout
    assert "copied 2 files, 11.0 MB" in said and f"write `store: {target}` in line 2 of gittrack.yaml" in said
    assert all(Content(DirectoryStore(str(tmp_path / "disk"))).has(*file) for file in files)
    assert track("store", "migrate", code=2).stderr


def test_migrate_to_git_is_said_to_be_another_way(files, url, track) -> None:
    refused = track("store", "migrate", "--to", "lfs", code=2)
    assert "`store: lfs`" in refused.stderr and "git track store pull" in refused.stderr


def test_without_a_store_the_command_says_how_to_set_one(repo, track) -> None:
    failed = track("store", "push", code=79)
    assert "no store is set" in failed.stderr and "store: s3://" in failed.stderr


def test_credentials_are_in_no_output_and_in_no_file_of_the_repository(files, url, s3, repo, track) -> None:
    said = "".join(done.stdout + done.stderr for done in (track("store", "push"), track("store", "status")))
    secrets = [value for name, value in s3.environ.items() if name != "HOME"]
    assert not any(secret in said for secret in secrets)
    for path in repo.rglob("*"):
        if path.is_file():
            assert not any(secret.encode() in path.read_bytes() for secret in secrets), path


def test_two_servers_with_the_same_name_of_a_bucket_are_two_stores(repository, files, url, s3, repo, track, tmp_path):
    with servers.rclone(tmp_path) as other:
        mirror = url.replace(s3.endpoint, other.endpoint)
        (repo / "gittrack.yaml").write_text(f"store: ['{url}', '{mirror}']\n")
        assert track("store", "push", "--create").stdout.count("copied 2 files") == 2
        store = far(url, s3).store
        store.delete([entry.key for entry in store.list("chunks/")])
        said = track("store", "verify", code=81).stdout
        assert f"{url}: 0 files whole" in said and f"{mirror}: 2 files whole" in said
