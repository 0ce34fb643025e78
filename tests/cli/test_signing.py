"""What people say about runs, signed with the keys that they have, and shown with what the signature is worth."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builder
import pytest

RUN = builder.run_id(0)[:7]
ANN = "Ann Example <ann@example.org>"


@pytest.fixture
def one(repo: Path) -> str:
    builder.make_runs(builder.opened(repo), 1)
    return RUN


def said(track: Any, *args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(track("log", RUN, "--json", *args).stdout)
    return found


@pytest.fixture
def ssh(sealed: Path, git: Any) -> Callable[[str], Path]:
    """`ssh("ann")` makes a key and has git sign with it."""

    def make(name: str) -> Path:
        key = sealed / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
        git("config", "gpg.format", "ssh")
        git("config", "user.signingKey", str(key))
        return key

    return make


def trust(git: Any, home: Path, *keys: Path) -> None:
    text = "".join(f"ann@example.org {key.with_suffix('.pub').read_text()}" for key in keys)
    (home / "allowed").write_text(text)
    git("config", "gpg.ssh.allowedSignersFile", str(home / "allowed"))


def test_unsigned_authorship_is_shown_as_claimed(one: str, track: Any) -> None:
    track("tag", one, "good")
    assert track("log", one).stdout.rstrip().endswith(f"{ANN}: tag good  [claimed]")
    assert said(track)[0]["signature"] == {"state": "claimed", "signer": "", "key": ""}


def test_annotations_are_signed_with_an_ssh_key(one: str, track: Any, git: Any, ssh: Any, sealed: Path) -> None:
    track("note", one, "before there was a key")
    key = ssh("ann")
    track("tag", one, "good")
    assert said(track)[0]["signature"]["state"] == "unknown key", "git has nobody to ask whose key it is"
    trust(git, sealed, key)
    newest, oldest = said(track)
    assert newest["signature"]["state"] == "good"
    assert newest["signature"]["signer"] == "ann@example.org"
    assert oldest["signature"]["state"] == "claimed"
    assert "[signed by ann@example.org (good)]" in track("log", one).stdout
    git("fsck", "--strict")


def test_a_key_that_nobody_knows_is_said_to_be_unknown(one: str, track: Any, git: Any, ssh: Any, sealed: Path) -> None:
    known = ssh("ann")
    trust(git, sealed, known)
    ssh("mallory")
    track("tag", one, "good")
    assert said(track)[0]["signature"]["state"] == "unknown key"
    assert "(unknown key)]" in track("log", one).stdout


def test_a_signature_over_something_else_is_bad(one: str, track: Any, git: Any, ssh: Any, sealed: Path) -> None:
    """A teammate who changes what a signed commit says, or puts somebody's signature to words of his own."""
    trust(git, sealed, ssh("ann"))
    track("note", one, "good")
    ref, tip = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/track/log").split()
    forged = git("cat-file", "commit", tip).replace("note", "vote")
    made = git("hash-object", "-t", "commit", "-w", "--stdin", text_in=forged + "\n")
    git("update-ref", ref, made)
    assert said(track)[0]["signature"]["state"] == "bad"
    assert "(bad)]" in track("log", one).stdout


def test_each_operation_is_vouched_for_by_the_commit_that_brought_it(
    one: str, track: Any, git: Any, ssh: Any, sealed: Path
) -> None:
    trust(git, sealed, ssh("ann"))
    for number in range(7):
        git("config", "track.sign", "true" if number % 2 else "false")
        track("note", one, f"number {number}")
    states = {each["value"]: each["signature"]["state"] for each in said(track)}
    assert states == {f"number {number}": "good" if number % 2 else "claimed" for number in range(7)}


def test_what_cannot_be_signed_is_not_said_and_the_message_says_the_way_on(
    one: str, track: Any, git: Any, sealed: Path
) -> None:
    git("config", "gpg.format", "ssh")
    git("config", "user.signingKey", str(sealed / "no-such-key"))
    before = git("for-each-ref")
    done = track("tag", one, "good", code=69)
    assert "could not sign" in done.stderr
    assert "no-such-key" in done.stderr
    assert "git config track.sign false" in done.stderr
    assert git("for-each-ref") == before
    git("config", "track.sign", "false")
    track("tag", one, "good")
    assert said(track)[0]["signature"]["state"] == "claimed"


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_annotations_are_signed_with_gpg(one: str, track: Any, git: Any, sealed: Path, tmp_path_factory: Any) -> None:
    home = tmp_path_factory.mktemp("g")  # short: the agent's socket lies in it
    home.chmod(0o700)
    gnupg = {"GNUPGHOME": str(home)}
    script = (
        "Key-Type: eddsa\nKey-Curve: ed25519\nName-Real: Ann\nName-Email: ann@example.org\n%no-protection\n%commit\n"
    )
    subprocess.run(
        ["gpg", "--batch", "--quiet", "--gen-key"],
        input=script.encode(),
        env={**os.environ, **gnupg},
        check=True,
        capture_output=True,
    )
    git("config", "user.signingKey", "ann@example.org")
    track("tag", one, "good", **gnupg)
    found = json.loads(track("log", one, "--json", **gnupg).stdout)[0]["signature"]
    assert (found["state"], found["signer"]) == ("good", "Ann <ann@example.org>")
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], env={**os.environ, **gnupg}, check=False)
    assert said(track)[0]["signature"]["state"] == "unknown key", "whoever lacks the public key cannot tell"


def test_what_was_taken_back_is_shown_on_request(one: str, track: Any) -> None:
    track("tag", one, "good")
    track("undo")
    assert said(track) == []
    newest, oldest = said(track, "--undone")
    assert (newest["what"].split()[0], newest["undone"]) == ("undo", False)
    assert (oldest["what"], oldest["undone"]) == ("tag good", True)
    assert "tag good  [claimed]  [undone]" in track("log", one, "--undone").stdout
    track("undo")
    first, second, third = said(track, "--undone")
    assert (first["undone"], second["undone"], third["undone"]) == (False, True, False), "an undo that was undone"
    assert "about one run" in track("log", "--undone", code=2).stderr


def test_escape_sequences_in_names_and_words_of_others_do_not_reach_the_terminal(
    one: str, track: Any, git: Any
) -> None:
    track("note", one, "a\x1b[2Jb", GIT_AUTHOR_NAME="Mal\x1b]0;owned\x07lory")
    shown = track("log", one).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
