"""Secrets out of text, commands, mappings and streams."""

import json
import time

import pytest

from gittrack.core import secret_paths
from gittrack.core.redact import Redactor, spellings, url
from gittrack.core.secret_scan import Rule
from gittrack.recorder.secret_names import secret_values

RULE = Rule("Token", r"tok_[a-z0-9]{24}", 0, 0, "letters", 24, ("tok_",), 0, (("tok_",),))
SECRET = "tok_" + "a1b2" * 6
KEY = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED", "", *["Qk1a" * 16] * 4, "Zm9v", "-----END RSA PRIVATE KEY-----"])  # fmt: skip  # noqa: E501


@pytest.fixture
def redactor() -> Redactor:
    return Redactor([RULE])


def test_a_secret_is_replaced_and_what_has_none_is_given_back_as_it_is(redactor: Redactor) -> None:
    assert redactor.text(f"use {SECRET}, please") == "use [redacted], please"
    data = b"loss=0.1\n"
    assert redactor.bytes(data) is data


def test_every_line_is_looked_at(redactor: Redactor) -> None:
    text = f"one\n{SECRET}\ntwo {SECRET} {SECRET}\nlast {SECRET}"
    assert redactor.text(text) == "one\n[redacted]\ntwo [redacted] [redacted]\nlast [redacted]"


def test_text_that_is_not_utf8_survives(redactor: Redactor) -> None:
    assert redactor.text(f"\udcff {SECRET}") == "\udcff [redacted]"
    assert redactor.text(f"\ud800 {SECRET}") == "\ud800 [redacted]"
    assert redactor.bytes(b"\xff\0" + SECRET.encode()) == b"\xff\0[redacted]"


def test_a_group_that_is_the_secret_leaves_the_rest() -> None:
    rule = Rule("Setting", r"key = '([a-z]{30})'", group=1, anchors=("key = '",), lead=0, needs=(("key = '",),))
    assert Redactor([rule]).text("key = '" + "a" * 30 + "'") == "key = '[redacted]'"


def test_a_private_key_goes_as_a_whole_on_many_lines_or_in_json() -> None:
    redactor = Redactor()
    assert redactor.text(f"a\n{KEY}\nb\n") == "a\n[redacted]\nb\n"
    assert json.loads(redactor.text(json.dumps({"key": KEY, "id": 1}))) == {"key": "[redacted]", "id": 1}
    cut = KEY[: KEY.index("-----END") - 6]
    assert redactor.text(f'x = "{cut}"') == 'x = "[redacted]"'


def test_to_speak_of_a_private_key_takes_no_more_than_the_words() -> None:
    text = "looking for BEGIN RSA PRIVATE KEY in the file\nloss 0.1\n"
    assert Redactor().text(text) == "looking for [redacted] in the file\nloss 0.1\n"


def test_a_stream_remembers_an_open_private_key_wherever_it_is_cut() -> None:
    data = f"before\n{KEY}\nafter\nmore\n".encode()
    for cut in range(len(data)):
        stream = Redactor().stream()
        place = data.rfind(b"\n", 0, cut) + 1
        out = stream(data[:place]) + stream(data[place:])
        assert out.replace(b"\n", b" ").split() == [b"before", b"[redacted]", b"after", b"more"]
    stream = Redactor().stream()
    out = b"".join(stream(line) for line in data.splitlines(keepends=True))
    assert out.split() == [b"before", b"[redacted]", b"after", b"more"]


def test_a_stream_in_which_a_key_never_ends_goes_on() -> None:
    stream = Redactor().stream()
    stream(b"-----BEGIN RSA PRIVATE KEY-----\n")
    assert stream(b"epoch 1 loss 0.5\n") == b"epoch 1 loss 0.5\n"
    assert stream(b"QUJD\n") == b"QUJD\n"


def test_known_values_are_taken_out_wherever_they_turn_up() -> None:
    environ = {"WANDB_API_KEY": "0123456789abcdef", "HOME": "/root", "SSL_KEY": "/etc/key", "API_TOKEN": "short"}
    values = secret_values({**environ, "X_PASSWORD": "line\nbreak", "TOKEN_FILE": "/run/secret"})
    assert values == ["0123456789abcdef"]
    assert Redactor().knowing(values).text("key=0123456789abcdef") == "key=[redacted]"


def test_what_is_allowed_stays() -> None:
    assert Redactor([RULE], allow=[SECRET]).text(SECRET) == SECRET
    assert Redactor([RULE], allow=["token"]).text(SECRET) == SECRET
    assert Redactor([RULE], allow=["other"]).text(SECRET) == "[redacted]"
    assert Redactor(allow=["private key"]).text(KEY) == KEY
    assert Redactor([RULE], allow=[SECRET]).find(SECRET.encode()) == frozenset()


def test_it_crosses_to_another_process_as_json() -> None:
    redactor = Redactor([RULE], ["a known value"], ["allowed"])
    again = Redactor.from_json(json.loads(json.dumps(redactor.to_json())))
    assert again.text(f"{SECRET} a known value") == "[redacted] [redacted]"
    assert again.allow == ("allowed",)


def test_find_names_rule_and_secret_and_passes_over_templates() -> None:
    rule = Rule("URL", r"://\w+:([^@\s]+)@", group=1, anchors=("://",), lead=0, needs=(("://",),))
    redactor = Redactor([RULE, rule])
    text = f"{SECRET} http://u:{{password}}@h http://u:<secret>@h http://u:real@h".encode()
    assert redactor.find(text) == {("Token", SECRET.encode()), ("URL", b"real")}
    for key in (KEY, KEY.replace("Proc-Type: 4,ENCRYPTED", "Comment: <a@b> {x}")):
        assert {name for name, _ in redactor.find(key.encode())} == {"Private Key"}
    two = redactor.find((KEY + "\n" + KEY.replace("Zm9v", "YmFy")).encode())
    assert len(two) == 2


@pytest.mark.parametrize(
    ("argv", "clean"),
    [
        (["--password", "x", "--lr", "1"], ["--password", "[redacted]", "--lr", "1"]),
        (["--token=x"], ["--token=[redacted]"]),
        (["db.password=x", "db.user=y"], ["db.password=[redacted]", "db.user=y"]),
        (["--api-key", "--verbose"], ["--api-key", "--verbose"]),
        (["--max-tokens", "5", "--pad-token", "<pad>"], ["--max-tokens", "5", "--pad-token", "<pad>"]),
        (["https://u:p@h/x", "ssh://git@h/x", "git@h:x"], ["https://h/x", "ssh://git@h/x", "git@h:x"]),
        (["--dsn", "postgres://u:p@h/db"], ["--dsn", "postgres://h/db"]),
        (["env TOKEN=x train --password 'a b' -n 1"], ["env TOKEN=[redacted] train --password [redacted] -n 1"]),
        (["PASSWORD=with space"], ["PASSWORD=[redacted]"]),
        (["--note", f"see {SECRET}"], ["--note", "see [redacted]"]),
        (["--password="], ["--password="]),
        ([], []),
    ],
)  # fmt: skip
def test_commands(redactor: Redactor, argv: list[str], clean: list[str]) -> None:
    assert redactor.argv(argv) == clean


def test_mappings_by_name_and_content_at_any_depth(redactor: Redactor) -> None:
    values = {
        "db": {"password": "x", "port": 5432},
        "hf_token": "abc",
        "max_tokens": 512,
        "token": 7,
        "secret": ["a", {"b": "c"}],
        "pair": ("x", SECRET),
        "eos_token": "</s>",
        "empty_password": "",
        "none": None,
    }
    assert redactor.mapping(values) == {
        "db": {"password": "[redacted]", "port": 5432},
        "hf_token": "[redacted]",
        "max_tokens": 512,
        "token": 7,
        "secret": ["[redacted]", {"b": "[redacted]"}],
        "pair": ("x", "[redacted]"),
        "eos_token": "</s>",
        "empty_password": "",
        "none": None,
    }


def test_urls_lose_their_logins() -> None:
    assert url("https://token@github.com/a/b") == "https://github.com/a/b"
    assert url("https://u:p@a/b https://c/d?e=f@g") == "https://a/b https://c/d?e=f@g"


@pytest.mark.parametrize(
    "path", [".env", "a/.env.prod", "id_ed25519", "x.PEM", "home/.ssh/config", "client_secret_1.json"]
)
def test_files_of_secrets_are_known_by_name(path: str) -> None:
    assert secret_paths.reason(path)


@pytest.mark.parametrize("path", ["train.py", ".env.example", "id_rsa.pub", "keys.py", "environment.yml", "monkey.csv"])
def test_other_files_are_not(path: str) -> None:
    assert secret_paths.reason(path) is None


def test_a_gigabyte_of_ordinary_lines_would_take_seconds_not_minutes() -> None:
    """Measured: 100 MB/s with all rules (docs/benchmarks.md). The bound is loose, for busy machines."""
    line = b"epoch 3 step 1200 loss=0.123456 val/map@0.5 0.61 tokens/s 48211 [00:10<01:02, 3.21it/s]\n"
    data = line * 20_000
    began = time.process_time()
    assert Redactor([RULE]).bytes(data) is data
    assert time.process_time() - began < 1


def test_secrets_of_several_lines_are_known_as_literals_and_line_by_line() -> None:
    value = "first line of it\n'second' \"line\"\n}\nüber-secret"
    redactor = Redactor(values=spellings(value))
    for text in (value, repr({"a": value}), json.dumps([value]), json.dumps(value, ensure_ascii=False)):
        assert "second" not in redactor.text(text) and "secret" not in redactor.text(text).replace("\\u00fc", "")
    stream = redactor.stream()
    pieces = [stream(line.encode() + b"\n") for line in value.splitlines()]
    assert pieces == [b"[redacted]\n", b"[redacted]\n", b"}\n", b"[redacted]\n"]
    assert spellings("plain") == ["plain"]
