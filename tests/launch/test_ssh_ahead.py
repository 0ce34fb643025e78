"""A socket that is read ahead of who asks."""

import os
import socket
from contextlib import closing

import pytest

from gittrack.launch.ssh.ahead import Ahead


def test_what_is_read_is_what_was_sent_whatever_is_asked_for() -> None:
    ours, theirs = socket.socketpair()
    sent = os.urandom(150_000)
    with closing(theirs), closing(Ahead(ours)) as ahead:
        got = b""
        for start in range(0, len(sent), 30_000):
            theirs.sendall(sent[start : start + 30_000])
            for size in (1, 16, 9_000, 30_000):
                if left := min(size, start + 30_000 - len(got)):
                    part = ahead.recv(left)
                    assert 0 < len(part) <= left
                    got += part
        theirs.shutdown(socket.SHUT_WR)
        while part := ahead.recv(1_000):
            got += part
        assert got == sent
        assert ahead.recv(16) == b""


def test_nothing_is_lost_by_a_wait_that_was_in_vain() -> None:
    ours, theirs = socket.socketpair()
    with closing(theirs), closing(Ahead(ours)) as ahead:
        ahead.settimeout(0.01)
        with pytest.raises(TimeoutError):
            ahead.recv(16)
        theirs.sendall(b"0123456789")
        assert (ahead.recv(4), ahead.recv(100)) == (b"0123", b"456789")
        with pytest.raises(TimeoutError):
            ahead.recv(16)
        ahead.sendall(b"answer")
        assert theirs.recv(100) == b"answer"
