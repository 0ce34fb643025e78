"""Which remote holds the runs, and the notes about what was seen there."""

import builder
import pytest

from gittrack import errors
from gittrack.runs import remotes


def test_the_remote_is_the_one_given_then_that_of_the_settings_then_gits_own(store, git):
    git("remote", "add", "origin", "/somewhere")
    git("remote", "add", "other", "/elsewhere")
    assert remotes.choose(store.git) == "origin"
    git("config", "branch.main.remote", "other")
    assert remotes.choose(store.git) == "other"
    git("config", "track.remote", "https://example.org/runs.git")
    assert remotes.choose(store.git) == "https://example.org/runs.git"
    assert remotes.choose(store.git, "origin") == "origin"


def test_where_there_is_no_telling_the_remotes_are_named(store, git):
    git("remote", "add", "one", "/somewhere")
    git("remote", "add", "two", "/elsewhere")
    with pytest.raises(errors.UsageError, match="one, two"):
        remotes.choose(store.git)


def test_what_looks_like_an_option_is_no_remote(store):
    with pytest.raises(errors.UsageError, match="cannot be a remote"):
        remotes.choose(store.git, "--upload-pack=touch /tmp/x")


def test_what_was_seen_is_read_again_by_the_address(store):
    url, run = "https://example.org/runs.git", builder.run_id(0)
    remotes.save(store.paths, remotes.Seen(url, {f"refs/track/runs/{run}": "1" * 40}, 5.0, stamp="1 x"))
    found = remotes.load(store.paths, url)
    assert found is not None
    assert (found.refs, found.stamp) == ({f"refs/track/runs/{run}": "1" * 40}, "1 x")
    remotes.note_refs(store.paths, url, {f"refs/track/runs/{run}": None, "refs/track/log/" + "a" * 16: "2" * 40})
    again = remotes.load(store.paths, url)
    assert again is not None
    assert (again.refs, again.stamp) == ({"refs/track/log/" + "a" * 16: "2" * 40}, "")
    assert remotes.load(store.paths, "https://example.org/other.git") is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"url":1}', '{"url":"u","refs":[],"w":0}', '{"url":"u","refs":{},"w":"x"}']
)
def test_a_damaged_note_is_as_none(text, store):
    remotes.save(store.paths, remotes.Seen("u", {}, 5.0))
    (note,) = (path for path in (builder.Path(store.paths.common_dir) / "track" / "remotes").iterdir())
    note.write_text(text)
    assert remotes.load(store.paths, "u") is None
    assert remotes.every(store.paths) == {}


def test_no_password_is_kept(store):
    url = "https://ann:s3cret@example.org/runs.git"
    remotes.save(store.paths, remotes.Seen(url, {}, 5.0))
    (note,) = (builder.Path(store.paths.common_dir) / "track" / "remotes").iterdir()
    assert "s3cret" not in note.read_text()
    found = remotes.load(store.paths, url)
    assert found is not None
    assert found.url == url
