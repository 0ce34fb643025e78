"""What every link does, whatever is behind it."""

import hashlib
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from gittrack.errors import HostFailed
from gittrack.launch.link.protocol import Entry, Link

AWKWARD = [
    "plain",
    "",
    " ",
    "it's",
    'say "hi"',
    "two\nlines",
    "ends with a newline\n",
    "$(touch hacked)",
    "`touch hacked`",
    "${HOME} $HOME $$ $1 $@",
    "a;b|c&d>e<f",
    "* ? [a-z] {a,b} ~ ~root",
    "!history !! !$",
    "back\\slash \\n \\\\ \\'",
    "\\0101 %s %b %%",
    "tab\there",
    "-n",
    "--help",
    "-",
    "ümlaut 日本語 🚀",
    "\udcff\udcfe raw bytes",
    "#comment",
    "a=b",
    "\x01\x7f\x1b[31m",
    "%self",
    "=ls",
    "^up^down",
]


@pytest.fixture(params=["here", "ssh"])
def link(request: pytest.FixtureRequest) -> Link:
    found: Link = request.getfixturevalue(request.param)
    return found


def numbers(size: int) -> bytes:
    """Bytes that no other offset has."""
    return b"".join(hashlib.sha256(b"%d" % each).digest() for each in range(size // 32 + 1))[:size]


def test_a_process_gets_each_argument_as_it_is(link: Link) -> None:
    done = link.run(["printf", "%s\\0", *AWKWARD])
    assert [os.fsdecode(each) for each in done.out.split(b"\0")[:-1]] == AWKWARD
    assert link.list(".") is not None and "hacked" not in [each.name for each in link.list(".") or []]


@pytest.mark.parametrize("argument", AWKWARD)
def test_one_argument_alone_is_as_it_is(link: Link, argument: str) -> None:
    assert os.fsdecode(link.run(["printf", "%s.", argument]).out) == argument + "."


def test_a_command_that_no_host_could_be_given_is_refused(link: Link) -> None:
    for argv in ([], [""], ["-c", "x"], ["echo", "\0"], ["echo", "x" * 200_000]):
        with pytest.raises(ValueError):
            link.run(argv)


def test_input_output_complaints_and_code_come_back(link: Link) -> None:
    done = link.run(["sh", "-c", "cat; echo oh >&2; exit 3"], b"some input", check=False)
    assert done == (3, b"some input", b"oh\n")


def test_much_input_and_much_output_at_once_do_not_wait_for_each_other(link: Link) -> None:
    data = numbers(8_000_000)
    assert link.run(["cat"], data).out == data


def test_much_said_on_standard_error_stops_nobody(link: Link) -> None:
    done = link.run(["sh", "-c", "head -c 5000000 /dev/zero >&2; echo end >&2; echo done"])
    assert done.out == b"done\n" and done.err.endswith(b"\0end\n") and len(done.err) == 64_000


def test_input_that_nobody_reads_is_no_error(link: Link) -> None:
    assert link.run(["true"], numbers(3_000_000)).code == 0


def test_a_failure_is_told_in_the_words_of_the_process(link: Link) -> None:
    with pytest.raises(HostFailed, match="no such luck"):
        link.run(["sh", "-c", "echo no such luck >&2; exit 1"])


def test_a_missing_program_is_code_127(link: Link) -> None:
    assert link.run(["no-such-program-anywhere"], check=False).code == 127


def test_a_process_killed_by_a_signal_has_no_code_of_its_own(link: Link) -> None:
    assert link.run(["sh", "-c", "kill -9 $$"], check=False).code in (137, 255)


def test_a_process_runs_in_the_home(link: Link) -> None:
    home = link.run(["sh", "-c", "cd && pwd -P"]).out
    assert link.run(["pwd", "-P"]).out == home


def test_the_folder_is_made_for_this_user_alone_and_asked_for_once(link: Link) -> None:
    place = link.folder()
    assert place.endswith("/.gittrack") and place == link.folder()
    assert link.run(["stat", "-c", "%a", place]).out == b"700\n"
    assert link.read(place + "/version") == b"1\n"


def test_a_conversation_goes_both_ways(link: Link) -> None:
    channel = link.open(["sh", "-c", "while read line; do echo got $line; done; echo bye"])
    for word in (b"one", b"two"):
        channel.write(word + b"\n")
        assert channel.read(100) == b"got " + word + b"\n"
    channel.end_input()
    channel.end_input()
    assert channel.read(100) == b"bye\n" and channel.read(100) == b"" and channel.read(1) == b""
    assert channel.wait() == 0
    channel.close()
    channel.close()


def test_closing_ends_the_process(link: Link) -> None:
    channel = link.open(["sh", "-c", "echo $$; exec sleep 1000"])
    pid = channel.read(100).decode().strip()
    channel.close()
    gone = "for i in $(seq 200); do kill -0 $1 2>/dev/null || exit 0; sleep 0.05; done; exit 1"
    assert link.run(["sh", "-c", gone, "sh", pid], check=False).code == 0


def test_closing_at_once_ends_the_process_too(link: Link) -> None:
    for number in range(20):
        link.open(["sleep", f"1000.{number}"]).close()
    gone = (
        "for i in $(seq 200); do pgrep -u $(id -u) -f 'sleep 1000[.]' > /dev/null || exit 0; sleep 0.05; done; exit 1"
    )
    assert link.run(["sh", "-c", gone], check=False).code == 0


def test_writing_to_a_process_that_has_ended_is_a_broken_pipe(link: Link) -> None:
    channel = link.open(["true"])
    assert channel.wait() == 0
    with pytest.raises(BrokenPipeError):
        for _ in range(100):
            channel.write(b"x" * 100_000)
    channel.close()


def test_a_file_is_written_whole_with_its_mode_and_its_folders(link: Link) -> None:
    path = link.folder() + "/deep/er/it's a file"
    link.write(path, b"first")
    link.write(path, b"second \0 version", 0o644)
    assert link.read(path) == b"second \0 version"
    assert link.run(["stat", "-c", "%a", path]).out == b"644\n"
    assert link.list(path.rpartition("/")[0]) == [Entry("it's a file", 16, "file")]


def test_what_cannot_be_written_is_said(link: Link) -> None:
    with pytest.raises(HostFailed, match="cannot be written"):
        link.write("/proc/nothing/here", b"x")
    link.run(["mkdir", "-p", "a-folder"])
    with pytest.raises(HostFailed, match="it is a folder"):
        link.write("a-folder", b"x")


def test_part_of_a_file_is_read(link: Link) -> None:
    data = numbers(300_000)
    path = link.folder() + "/numbers"
    link.write(path, data)
    assert link.read(path) == data
    assert link.read(path, 1) == data[1:]
    assert link.read(path, 0, 5) == data[:5]
    assert link.read(path, 299_990, 100) == data[299_990:]
    assert link.read(path, 300_000) == link.read(path, 400_000) == link.read(path, 7, 0) == b""


def test_a_file_that_is_not_there_is_a_file_not_found(link: Link, tmp_path: Path) -> None:
    for path in ("no/such/file", "/no such file", "-n"):
        with pytest.raises(FileNotFoundError):
            link.read(path)
    with pytest.raises(FileNotFoundError):
        came(link, "no-such-file")
    with pytest.raises(HostFailed, match="is no file"):
        link.read("/")


def test_a_directory_is_listed_with_awkward_names(link: Link) -> None:
    place = link.folder() + "/listed"
    assert link.list(place) is None
    link.run(["mkdir", place])
    assert link.list(place) == []
    for name in ("a b", "-rf", "new\nline", ".hidden", "..odd", "$(x)", "ü"):
        link.write(f"{place}/{name}", name.encode())
    link.run(["mkdir", f"{place}/folder"])
    link.run(["ln", "-s", "/etc/passwd", f"{place}/link"])
    link.run(["mkfifo", f"{place}/pipe"])
    found = {each.name: each for each in link.list(place) or []}
    assert {name for name, each in found.items() if each.kind == "file"} == {
        "a b", "-rf", "new\nline", ".hidden", "..odd", "$(x)", "ü",
    }  # fmt: skip
    assert found["ü"].size == 2 and found["folder"].kind == "folder"
    assert found["link"].kind == "link" and found["pipe"].kind == "other"
    assert link.list(f"{place}/link") is None


def test_a_large_file_goes_there_and_comes_back(link: Link, tmp_path: Path) -> None:
    data = numbers(20_000_000)
    (tmp_path / "up").write_bytes(data)
    moved: list[int] = []
    link.send(str(tmp_path / "up"), link.folder() + "/sent/large", moved.append)
    assert sum(moved) == len(data)
    assert came(link, link.folder() + "/sent/large") == data


def test_reading_goes_on_from_an_offset(link: Link) -> None:
    data = numbers(3_000_000)
    path = link.folder() + "/large"
    link.write(path, data)
    assert came(link, path, 1_000_000) == data[1_000_000:]
    assert came(link, path, 3_000_000) == b""


def test_who_has_read_enough_does_not_wait_for_the_rest(link: Link) -> None:
    link.write("large", bytes(10_000_000))
    with pytest.raises(ValueError, match="enough"), link.reading("large") as read:
        assert read(10) == bytes(10)
        raise ValueError("enough")


def came(link: Link, path: str, offset: int = 0) -> bytes:
    with link.reading(path, offset) as read:
        return b"".join(iter(lambda: read(1 << 20), b""))


def test_several_threads_use_it_at_once(link: Link) -> None:
    place, results = link.folder(), {}

    def work(number: int) -> None:
        data = numbers(100_000 + number)
        link.write(f"{place}/{number}", data)
        results[number] = link.read(f"{place}/{number}") == data and link.run(["cat"], data).out == data

    threads = [threading.Thread(target=work, args=(each,)) for each in range(24)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == dict.fromkeys(range(24), True)


def connected(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(path)
    return client


def everything(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_each_connection_to_its_socket_is_a_process_of_its_own(link: Link) -> None:
    with link.socket(["sh", "-c", "echo hello; cat; echo end"]) as path:
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
        clients = [connected(path) for _ in range(3)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        for number, client in enumerate(clients):
            client.shutdown(socket.SHUT_WR)  # the other way goes on
            assert everything(client) == b"hello\n%d\nend\n" % number
            client.close()
    assert not os.path.exists(os.path.dirname(path))


def test_a_long_name_of_the_folder_of_temporary_files_is_no_hindrance(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a socket has 108 bytes at most."""
    folder = tmp_path / ("t" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with link.socket(["echo", "hello"]) as path, connected(path) as client:
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
        assert everything(client) == b"hello\n"
    assert not os.path.exists(os.path.dirname(path))


def test_much_goes_both_ways_through_its_socket(link: Link) -> None:
    data = numbers(5_000_000)
    with link.socket(["cat"]) as path, connected(path) as client:
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        assert everything(client) == data
        sender.join()


def test_the_end_of_the_process_ends_the_connection(link: Link) -> None:
    with link.socket(["sh", "-c", "echo last words; exit 3"]) as path, connected(path) as client:
        assert everything(client) == b"last words\n"


def test_the_end_of_the_connection_ends_the_process(link: Link) -> None:
    with link.socket(["sh", "-c", "echo $$; cat > /dev/null; sleep 0.1; echo over > over"]) as path:
        with connected(path) as client:
            assert client.recv(100)
        done = link.run(["sh", "-c", "for i in $(seq 200); do [ -s over ] && exit 0; sleep 0.05; done; exit 1"])
        assert done.code == 0


def test_leaving_the_block_ends_what_is_connected(link: Link) -> None:
    with link.socket(["cat"]) as path:
        client = connected(path)
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    assert client.recv(1) == b""
    client.close()
