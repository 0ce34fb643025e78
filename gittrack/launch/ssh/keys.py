"""Whether a host is the one it was: its key against the known_hosts files, by OpenSSH's rules, or stricter ones.

paramiko's reader knows neither revoked keys nor authorities, and fabric accepts any key: both are replaced.
"""

import base64
import binascii
import contextlib
import fnmatch
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from gittrack.errors import HostFailed
from gittrack.launch.link.protocol import Ask, UnknownKey
from gittrack.launch.ssh.config import Meaning

OK, UNKNOWN, CHANGED, REVOKED, AUTHORITY = "ok", "unknown", "changed", "revoked", "authority"
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}  # by which a key of that kind signs


class Line(NamedTuple):
    """One line of a known_hosts file that is about the host."""

    file: str
    number: int
    marker: str  # "", "@revoked" or "@cert-authority"
    kind: str
    blob: bytes


class Verdict(NamedTuple):
    word: str
    line: Line | None = None


def lines_about(files: Sequence[str], name: str) -> list[Line]:
    """What the files say of a name. Files that cannot be read, and lines that are none, say nothing."""
    found = []
    for path in files:
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            for number, text in enumerate(file, 1):
                fields = text.split()
                marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
                if len(fields) < 3 or fields[0].startswith("#") or not _names(fields[0], name):
                    continue
                with contextlib.suppress(binascii.Error, ValueError):
                    found.append(Line(path, number, marker, fields[1], base64.b64decode(fields[2], validate=True)))
    return found


def _names(field: str, name: str) -> bool:
    if field.startswith("|1|"):
        with contextlib.suppress(binascii.Error, ValueError):
            salt, digest = (base64.b64decode(part) for part in field[3:].split("|"))
            return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
        return False
    patterns = field.lower().split(",")
    # Brackets of [host]:port are no character classes; * and ? are all there is.
    matching = [each for each in patterns if fnmatch.fnmatchcase(name, each.lstrip("!").replace("[", "[[]"))]
    return bool(matching) and not any(each.startswith("!") for each in matching)


def judge(lines: Sequence[Line], kind: str, blob: bytes) -> Verdict:
    """What the lines about a host say of the key that it shows. Pure."""
    same = [line for line in lines if line.blob == blob and line.marker != "@cert-authority"]
    for line in same:
        if line.marker == "@revoked":
            return Verdict(REVOKED, line)
    for line in same:
        if not line.marker:
            return Verdict(OK, line)
    others = [line for line in lines if not line.marker]
    if others:  # one of another kind was asked for first: a host that does not have it any more is not the one it was
        return Verdict(CHANGED, next((line for line in others if line.kind == kind), others[0]))
    authorities = [line for line in lines if line.marker == "@cert-authority"]
    return Verdict(AUTHORITY, authorities[0]) if authorities else Verdict(UNKNOWN)


def algorithms(lines: Sequence[Line], offered: Sequence[str]) -> list[str]:
    """Which of its keys a host is asked for: those that are known, before the others."""
    wanted = [name for line in lines if not line.marker for name in _ALGORITHMS.get(line.kind, (line.kind,))]
    return sorted(offered, key=lambda name: name not in wanted)


def fingerprint(blob: bytes) -> str:
    """As `ssh-keygen -l` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


class Checker:
    """The key of one host is checked each time it is connected to; what was accepted once in this process stays so."""

    def __init__(self, name: str, meaning: Meaning, ask: Ask) -> None:
        self._name = name
        self._meaning = meaning
        self._ask = ask
        self._accepted: set[bytes] = set()
        self.lines = lines_about((*meaning.known_hosts, *meaning.system_known_hosts), meaning.key_name)

    def check(self, kind: str, blob: bytes) -> None:
        """Raises HostFailed unless it is known, or accepted now."""
        if blob in self._accepted:
            return
        shown = f"its {kind} key has the fingerprint {fingerprint(blob)}"
        if self._revoked(blob):
            raise self._stopped(f"the host's key is revoked by {self._meaning.revoked_keys}; {shown}", "", REVOKED)
        verdict = judge(self.lines, kind, blob)
        if verdict.word == UNKNOWN and self._meaning.plain_name:  # lines of before the port was written with it
            files = (*self._meaning.known_hosts, *self._meaning.system_known_hosts)
            plain = judge(lines_about(files, self._meaning.plain_name), kind, blob)
            verdict = plain if plain.word in (OK, REVOKED) else verdict
        if verdict.word == OK:
            return
        if verdict.line:
            raise self._refused(verdict, shown)
        self._ask_about(kind, blob, shown)
        self._accepted.add(blob)

    def _refused(self, verdict: Verdict, shown: str) -> HostFailed:
        line = verdict.line
        assert line is not None
        where = f"{line.file}:{line.number}"
        if verdict.word == REVOKED:
            return self._stopped(f"the host's key is revoked by {where}; {shown}", "ask who runs the host", REVOKED)
        if verdict.word == AUTHORITY:
            hint = f"add the key itself: ssh-keyscan -p {self._meaning.port} {self._meaning.address}, after a check"
            return self._stopped(
                f"{where} trusts an authority (@cert-authority) to sign the host's key, which gittrack cannot check; "
                f"{shown}",
                hint,
                AUTHORITY,
            )
        return self._stopped(
            f"the host's key is not the one in {where}: somebody may be listening in, or the host was installed anew; "
            f"{shown}",
            f"ask who runs the host; when it is right: ssh-keygen -R '{self._meaning.key_name}' -f {line.file}",
            "key-changed",
        )

    def _ask_about(self, kind: str, blob: bytes, shown: str) -> None:
        meaning = self._meaning
        file = next(iter(meaning.known_hosts), "")
        if meaning.strict == "yes":
            raise self._stopped(
                f"the host's key is in no known_hosts file, and your configuration refuses such hosts; {shown}",
                f"add it to {file or 'a known_hosts file'} yourself, after a check",
                "key-unknown",
            )
        answer: bool | None = True
        if meaning.strict not in ("no", "accept-new"):
            answer = self._ask.accept(UnknownKey(meaning.key_name, kind, fingerprint(blob), file))
        if not answer:
            raise self._stopped(
                f"the host's key is not known; {shown}",
                "compare it with what the host says (ssh-keygen -lf /etc/ssh/ssh_host_*.pub), then use --accept-new"
                if answer is None
                else "nothing was sent to it",
                "key-unknown",
            )
        if file and file != os.devnull:
            remember(file, meaning.key_name, kind, blob, meaning.hashed)

    def _revoked(self, blob: bytes) -> bool:
        path = self._meaning.revoked_keys
        if not path:
            return False
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise self._stopped(f"RevokedHostKeys: {path}: {error.strerror}", "", "config") from error
        if data.startswith(b"SSHKRL"):
            raise self._stopped(f"RevokedHostKeys: {path} is a binary list, which is not supported", "", "config")
        return base64.b64encode(blob) in data.split()

    def _stopped(self, message: str, hint: str, kind: str) -> HostFailed:
        return HostFailed(f"{self._name}: {message}", hint, kind)


def remember(path: str, name: str, kind: str, blob: bytes, hashed: bool) -> None:
    """Append a key to a known_hosts file. One that cannot be written forgets it, as with OpenSSH."""
    if hashed:
        salt = secrets.token_bytes(20)
        digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
        name = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    line = f"{name} {kind} {base64.b64encode(blob).decode()}\n".encode()
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(handle, "rb+", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            torn = end and os.pread(handle, 1, end - 1) != b"\n"
            os.write(handle, b"\n" + line if torn else line)
