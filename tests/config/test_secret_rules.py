"""Rules come from the scanner whole, are cached, and the fast path finds all that the plain patterns find."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gittrack import errors
from gittrack.config import secret_prefilter, secret_rules
from gittrack.core.redact import Redactor
from gittrack.core.secret_scan import WORD, Rule, Scanner

RULES = secret_rules.load(None)
SCANNER = Scanner(RULES)
PLAIN = [re.compile(rule.pattern.encode(), rule.flags) for rule in RULES]
NOISE = st.binary(max_size=30) | st.sampled_from([b" ", b"\n", b'"', b"key=", b"x = '", b"a" * 25, b"\nINFO: ", b"://"])
# Patterns that generate: bounds as wide as {50,1024} make the generator slow, and "." must not make a line end.
SAMPLES = [
    re.compile(rule.pattern.encode().replace(b"1024", b"60").replace(b".+", b"[a-z.]+"), rule.flags) for rule in RULES
]


def plain(data: bytes) -> list[tuple[int, int]]:
    """Pattern by pattern, line by line, as the scanner does it."""
    found = []
    start = 0
    for line in data.split(b"\n"):
        for rule, pattern in zip(RULES, PLAIN, strict=True):
            found += [
                (start + match.start(rule.group), start + match.end(rule.group)) for match in pattern.finditer(line)
            ]
        start += len(line) + 1
    return found


def missed(data: bytes) -> list[bytes]:
    """What the plain patterns find and the fast path does not, but for space around it."""
    fast = {(start, end) for start, end, _ in SCANNER.spans(data)}
    covered = [False] * len(data)
    for start, end in fast:
        covered[start:end] = [True] * (end - start)
    return [
        data[start:end]
        for start, end in plain(data)
        if not all(covered[place] or data[place : place + 1].isspace() for place in range(start, end))
    ]


@settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_fast_path_finds_what_the_plain_patterns_find(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES))
    secret = data.draw(st.from_regex(sample, fullmatch=False))
    text = data.draw(NOISE) + secret + data.draw(NOISE) + data.draw(NOISE)
    assert not missed(text)


@pytest.mark.parametrize("number", range(len(RULES)))
def test_each_rule_finds_its_own_samples(number: int) -> None:
    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(SAMPLES[number], fullmatch=True))
    def check(secret: bytes) -> None:
        assert not missed(b"before\n" + secret + b"\nafter")

    check()


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(NOISE, max_size=12).map(b"".join))
def test_noise_gives_nothing_that_the_plain_patterns_do_not_give(text: bytes) -> None:
    assert not missed(text)


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'",
        "ghp_" + "aB3" * 12,
        "github_pat_" + "a1B2" * 12,
        "glpat-" + "a1B2_" * 4,
        "hf_" + "aB" * 17,
        "sk-ant-api03-" + "a-B_" * 12,
        "sk-proj-" + "aB1_" * 10,
        "xoxb-123456789012-abcdefABCDEF",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "postgres://user:s3cr3t-pass@db/x",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "sk_live_" + "a1B2" * 6,
        "AIza" + "a1B2_" * 7,
        "Authorization: Bearer abcdefgh12345",
        "//registry.npmjs.org/:_authToken=npm_abcdef",
        "AccountKey=" + "a+/1" * 22,
        "SG." + "a" * 22 + "." + "b" * 43,
        "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx",
    ],
)
def test_known_kinds_of_secret_are_found(secret: str) -> None:
    redactor = Redactor(RULES)
    assert redactor.find(f"x {secret} y".encode()), secret
    assert "[redacted]" in redactor.text(f"x {secret} y")


def test_the_whole_of_a_secret_goes() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    assert Redactor(RULES).text(f"jwt={token} end") == "jwt=[redacted] end"
    assert Redactor(RULES).text("ghp_" + "a" * 36) == "[redacted]"
    assert Redactor(RULES).text("https://user:hunter2@host/x") == "https://user:[redacted]@host/x"


@pytest.mark.parametrize(
    "text",
    [
        "epoch 3 loss=0.30000000000000004 tokens/s 48211",
        "commit 4a8f0c1d2e3b4a5968778695a4b3c2d1e0f90817",
        "ACCAGTTACGATTACAGATTACAGATTACA",
        "train_loss_step_mean_over_epoch: 0.5",
        "2026-11-20T12:20:00 host 203.0.113.7 connected",
        'f"postgres://{user}:{password}@{host}/db"',
        "https://example.org/a/b?c=d@e",
        "550e8400-e29b-41d4-a716-446655440000",
        "token = tokenizer(text)['input_ids']",
        "mAP=0.5 APPLE APEX",
        "headers = {'Authorization': f'Bearer {token}'}",
    ],
)
def test_what_training_prints_and_code_says_is_no_secret(text: str) -> None:
    assert Redactor(RULES).find(text.encode()) == frozenset()


def test_noisy_detectors_are_left_out() -> None:
    names = {rule.name for rule in RULES}
    assert not names & {"Public IP (ipv4)", "Base64 High Entropy String", "Hex High Entropy String", "Secret Keyword"}
    assert {"AWS Access Key", "GitHub Token", "Private Key", "JSON Web Token"} <= names


def test_every_pattern_of_the_scanner_is_there_but_for_what_is_left_out_on_purpose() -> None:
    ours = {rule.pattern for rule in RULES}
    for name, detector in get_mapping_from_secret_type_to_class().items():
        if issubclass(detector, RegexBasedDetector) and name != "Public IP (ipv4)":
            for pattern in detector.denylist:
                assert any(pattern.pattern in each or pattern.pattern.rstrip("?") in each for each in ours), name


def test_most_rules_have_a_condition_that_can_be_searched_for() -> None:
    assert all(rule.length >= WORD or rule.anchors for rule in RULES)


@pytest.mark.parametrize(
    ("pattern", "kind", "anchors"),
    [
        (r"(?i)abc[0-9a-f]{40}", "letters", ("abc",)),
        (r"[A-F0-9]{32}", "upper", ()),
        (r"x(?:foo|bar)y+", "word", ("xbar", "xfoo")),
        (r"(?:ab)?c*", "word", ()),
        (r"(?P<x>abc)(?=z)(?P=x)", "word", ("abc",)),
        (r"a(?i:B)c", "word", ()),
        (r".*", "word", ()),
    ],
)
def test_conditions_of_patterns(pattern: str, kind: str, anchors: tuple[str, ...]) -> None:
    rule = secret_prefilter.prepared(Rule("x", pattern))
    assert (rule.kind, rule.anchors) == (kind, anchors)


def test_a_pattern_of_the_user_is_a_rule_and_a_bad_one_an_error() -> None:
    redactor = Redactor(secret_rules.load(None, [r"corp-[0-9]{4}"]))
    assert redactor.text("id corp-1234.") == "id [redacted]."
    assert Redactor([secret_rules.user_rule(r"\d\d:\d\d")]).text("at\n12:34\n") == "at\n[redacted]\n"
    with pytest.raises(errors.BadConfig, match="corp"):
        secret_rules.load(None, ["corp-["])


def test_the_cache_is_written_once_read_without_the_scanner_and_built_again_when_damaged(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    assert secret_rules.load(cache) == RULES
    (file,) = (tmp_path / "cache").iterdir()
    script = (
        "import sys\nfrom gittrack.config import secret_rules\n"
        f"assert len(secret_rules.load({cache!r})) == {len(RULES)}\nassert 'detect_secrets' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    for damage in ("{torn", "[]", '{"rules": []}', '{"count": 1, "rules": [[1, 2]]}', '{"count": 2, "rules": []}'):
        file.write_text(damage)
        assert secret_rules.load(cache) == RULES
        assert file.stat().st_size > 1000


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    assert secret_rules.load(os.fspath(tmp_path / "cache")) == RULES
