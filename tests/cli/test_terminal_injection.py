"""Names, parameters and arguments are other people's text: none of it may drive the terminal of whoever reads it."""

import json
import re

import builder
import pytest

EVIL = "\x1b[31m\x1b]0;pwned\x07\u202etxt\x9b2J\x7f"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
FIRST = builder.run_id(0)


@pytest.fixture
def evil(store):
    """Three runs whose every text is EVIL."""
    line = {"m": {EVIL: 1.0}, "s": 1, "t": 0, "w": 0}
    runs = [
        builder.journal(
            n,
            {EVIL: EVIL, "n": n},
            [0.5],
            name=EVIL,
            tags=[EVIL],
            note=EVIL,
            experiment=EVIL,
            command=EVIL,
            more=[line],
        )
        for n in range(3)
    ]
    builder.write_runs(store, runs)


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("show", EVIL), 67),
        (("show", EVIL[:-1]), 66),
        (("show", "best:" + EVIL[:-1]), 66),
        (("ls", "--where", f"`{EVIL}x` = 1"), 76),
        (("ls", "--sort", EVIL + "x"), 76),
        (("ls", "--columns", "help"), 0),
        (("ls", "--json"), 0),
        (("show", FIRST), 0),
        (("show", FIRST, "--json"), 0),
        (("compare", "--all"), 0),
        (("compare", "--format", "json"), 0),
        (("compare", "--plot", EVIL), 0),
        (("compare", "--plot", "x"), 66),
        (("compare", "--format", EVIL), 2),
        (("compare", "-o", "/nowhere/" + EVIL), 73),
        (("diff", FIRST, builder.run_id(1)), 0),
        (("untag", FIRST, EVIL), 0),
        (("note", FIRST, EVIL), 0),
        ((EVIL,), 2),
        (("help", EVIL), 2),
        (("completion", EVIL), 2),
        (("-C", EVIL, "ls"), 2),
    ],
    ids=lambda one: " ".join(one).encode("unicode_escape").decode()[:30] if isinstance(one, tuple) else "",
)
def test_no_text_of_a_record_or_an_argument_reaches_the_terminal_raw(argv, code, evil, call):
    out = call(*argv, code=code)
    assert OBEYED.search(out + call.err) is None
    assert out + call.err


def test_what_was_said_about_a_run_is_listed_without_its_control_characters(evil, call):
    call("note", FIRST, EVIL)
    assert OBEYED.search(call("log", FIRST)) is None


def test_escaped_json_still_says_the_same(evil, call):
    assert json.loads(call("ls", "--json"))[0]["name"] == EVIL
    assert json.loads(call("show", FIRST, "--json"))["run"]["name"] == EVIL


@pytest.mark.parametrize("argv", [("ls", "--csv"), ("compare", "--format", "csv", "-a")])
def test_data_is_whole_in_a_pipe_and_harmless_on_a_terminal(argv, evil, call, terminal):
    assert EVIL in call(*argv)
    assert OBEYED.search(terminal(*argv)) is None
