"""What `gittrack.init()` returns: parameters, checkpoints, ends, and wrong use that never stops a training."""

import argparse
import dataclasses
import enum
import gc
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from journal_reading import RUN_ID, events, values

from gittrack.recorder.active import ActiveRun
from gittrack.recorder.complain import WrongUse
from gittrack.recorder.journal import Journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.mkdir()
    return path


@pytest.fixture
def run(folder: Path) -> Any:
    made = ActiveRun(Journal(str(folder), "run.jsonl"), RUN_ID, params={"lr": 0.1})
    yield made
    made.finish()


def test_parameters_are_recorded_when_they_are_set(run: ActiveRun, folder: Path) -> None:
    run.params["momentum"] = 0.9
    run.params.update({"a": 1}, b=2)
    run.params |= {"c": 3}
    assert run.params.setdefault("d", 4) == 4 and run.params.setdefault("a", 9) == 1
    assert values(folder, "code") == {"lr": 0.1, "momentum": 0.9, "a": 1, "b": 2, "c": 3, "d": 4} == run.params
    assert len(events(folder, "params")) == 5


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Settings:
    depth: int
    where: Path


def a_function() -> None: ...


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP

KINDS = [
    ({"net": {"depth": 3, "sizes": (1, 2)}}, {"net": {"depth": 3, "sizes": [1, 2]}}),
    (PurePosixPath("a/b"), "a/b"),
    (Color.RED, "RED"),
    (Settings(2, Path("x")), {"depth": 2, "where": "x"}),
    (argparse.Namespace(a=1), {"a": 1}),
    (a_function, "test_active.a_function"),
    (Settings, "test_active.Settings"),
    (len, "len"),
    ({3: "x", Color.RED: 1}, {"3": "x", "RED": 1}),
    ({"b", "a"}, ["a", "b"]),
    (b"bytes \xff", "bytes \\xff"),
    (np.float32(0.5), 0.5),
    (np.arange(3), [0, 1, 2]),
    (np.zeros((1000, 1000)), "<ndarray of shape (1000, 1000)>"),
    (math.inf, {"$": "inf"}),
    (True, True),
    (None, None),
    ("x" * 10_000, "x" * 10_000),
    ("größe 🙂", "größe 🙂"),
    (10**30, 10**30),
]


@pytest.mark.parametrize(("value", "recorded"), KINDS, ids=range(len(KINDS)))
def test_any_value_is_a_parameter(run: ActiveRun, folder: Path, value: Any, recorded: Any) -> None:
    run.params["x"] = value
    assert values(folder, "code")["x"] == recorded


def test_values_that_fight_back_are_named_by_their_type(run: ActiveRun, folder: Path) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    run.params.update(hostile=Hostile(), loop=LOOP)
    assert values(folder, "code")["hostile"] == "<Hostile>"
    assert "self" in values(folder, "code")["loop"]


SECRETS = [
    "password",
    "db.password",
    "api_key",
    "apiKey",
    "HF_TOKEN",
    "aws-secret-access-key",
    "client_secret",
    "PASSWD",
]
HARMLESS = ["max_tokens", "tokenizer", "pad_token", "eos_token", "key", "keyboard", "num_keys", "token_dim", "monkey"]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_never_reach_the_journal(run: ActiveRun, folder: Path, name: str) -> None:
    run.params.update({name: "hunter2", "nested": {name: ["hunter2"]}})
    assert values(folder, "code")[name] == "[redacted]"
    assert "hunter2" not in "".join(path.read_text() for path in folder.iterdir())


@pytest.mark.parametrize("name", HARMLESS)
def test_names_that_only_sound_secret_are_recorded(run: ActiveRun, folder: Path, name: str) -> None:
    run.params[name] = "value"
    assert values(folder, "code")[name] == "value"


def test_values_that_are_known_secrets_are_not_recorded(run: ActiveRun, folder: Path) -> None:
    run.params.update(
        url="postgres://ann:hunter2@db.example.org/x?y=a@b", command="curl -H ghp_0123456789abcdefABCDEF0123456789abcd"
    )
    recorded = values(folder, "code")
    assert recorded["url"] == "postgres://ann:[redacted]@db.example.org/x?y=a@b"
    assert recorded["command"] == "curl -H [redacted]"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization:hf_abcdefghijklmnop1234", "Authorization:[redacted]"),
        ("--key=ghp_abcdefghijklmnop1234567890 --lr=1", "--key=[redacted] --lr=1"),
        ("two hf_abcdefghijklmnop1234,hf_abcdefghijklmnop5678", "two [redacted],[redacted]"),
        ("login value-of-the-environment!", "login [redacted]!"),
        ("a task-with-a-long-name-17", "a task-with-a-long-name-17"),
    ],
)
def test_a_secret_within_a_text_is_not_recorded(
    run: ActiveRun, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, kept: str
) -> None:
    monkeypatch.setenv("MY_TOKEN", "value-of-the-environment")
    run.params["x"] = {"deep": [text]}
    assert values(folder, "code")["x"] == {"deep": [kept]}


def test_numbers_under_secret_names_are_parameters(run: ActiveRun, folder: Path) -> None:
    run.params.update(token=3, use_auth_token=True, password=None)
    assert {**values(folder, "code"), "lr": 0} == {"token": 3, "use_auth_token": True, "password": None, "lr": 0}


def test_a_checkpoint_has_its_metrics_and_goal(run: ActiveRun, folder: Path) -> None:
    run.checkpoint(step=10, metrics={"loss": 0.3}, primary_metric=("loss", "minimize"))
    (point,) = events(folder, "checkpoint")
    assert (point["m"], point["primary"], point["s"]) == ({"loss": 0.3}, ["loss", "minimize"], 10)


@pytest.mark.parametrize("primary", ["loss", ("loss",), ("loss", "min"), ("loss", "minimize", 1), (1, "minimize")])
def test_a_wrong_goal_costs_a_warning_but_no_checkpoint(
    run: ActiveRun, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, primary: Any
) -> None:
    with pytest.raises(WrongUse, match="primary_metric"):
        run.checkpoint(1, {"loss": 1}, primary)
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    for step in range(2):
        run.checkpoint(step, {"loss": 1}, primary)
    assert [point["primary"] for point in events(folder, "checkpoint")] == [None, None]
    assert capsys.readouterr().err.count("gittrack: primary_metric") == 1


def ending(folder: Path) -> tuple[Any, ...]:
    (end,) = events(folder, "end")
    return end["status"], end["code"], end["reason"], end["signal"]


def test_finish_ends_the_run_once(run: ActiveRun, folder: Path) -> None:
    run.finish()
    run.finish("failed")
    assert ending(folder) == ("completed", 0, None, None)


def test_a_status_can_be_given(run: ActiveRun, folder: Path) -> None:
    run.finish("failed")
    assert ending(folder) == ("failed", 1, None, None)


def test_an_unknown_status_is_taken_as_completed(run: ActiveRun, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    run.finish("excellent")
    assert ending(folder)[0] == "completed"


def test_an_exception_fails_the_run_and_passes_untouched(run: ActiveRun, folder: Path) -> None:
    error = ValueError("no such file: https://ann:hunter2@example.org")
    with pytest.raises(ValueError) as caught, run:
        raise error
    assert caught.value is error
    assert ending(folder) == ("failed", 1, "ValueError: no such file: https://ann:[redacted]@example.org", None)


def test_an_interrupt_kills_the_run(run: ActiveRun, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run:
        raise KeyboardInterrupt
    assert ending(folder) == ("killed", None, "KeyboardInterrupt", "SIGINT")


@pytest.mark.parametrize(("code", "status"), [(0, "completed"), (None, "completed"), (3, "failed")])
def test_an_exit_is_judged_by_its_code(run: ActiveRun, folder: Path, code: Any, status: str) -> None:
    with pytest.raises(SystemExit), run:
        sys.exit(code)
    assert ending(folder)[0] == status


def test_what_comes_after_the_end_warns_once(
    run: ActiveRun, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    run.finish()
    before = (folder / "run.jsonl").read_bytes()
    for _ in range(3):
        run.log({"loss": 1})
        run.checkpoint(1)
        run.params["late"] = 1
    assert (folder / "run.jsonl").read_bytes() == before
    assert capsys.readouterr().err.count("gittrack:") == 3  # one for each kind


def test_on_finish_comes_after_the_end_and_may_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fold(run: ActiveRun) -> None:
        seen.append((run.id, run.status, [event["status"] for event in events(folder, "end")]))
        raise OSError("the repository is gone")

    monkeypatch.setenv("GITTRACK_STRICT", "0")
    ActiveRun(Journal(str(folder), "run.jsonl"), RUN_ID, on_finish=fold).finish()
    assert seen == [(RUN_ID, "completed", ["completed"])]


def test_a_joined_run_is_left_not_ended(run: ActiveRun, folder: Path) -> None:
    joined = ActiveRun(Journal(str(folder)), RUN_ID, joined=True)
    joined.log({"a": 1})
    joined.finish()
    assert joined.status == "left" and events(folder, "end") == []


def test_processes_started_meanwhile_find_the_run_in_the_environment(folder: Path) -> None:
    run = ActiveRun(Journal(str(folder), "run.jsonl"), RUN_ID)
    assert (os.environ["GITTRACK_RUN_ID"], os.environ["GITTRACK_RUN_DIR"]) == (RUN_ID, str(folder))
    run.finish()
    assert not {"GITTRACK_RUN_ID", "GITTRACK_RUN_DIR"} & set(os.environ)


def test_a_run_does_not_travel_but_its_parameters_do(run: ActiveRun) -> None:
    with pytest.raises(TypeError, match="call gittrack"):
        pickle.dumps(run)
    assert pickle.loads(pickle.dumps(run.params)) == {"lr": 0.1}


def test_a_run_shows_itself_without_secrets(run: ActiveRun) -> None:
    run.params.update(api_key="hunter2", tag="<script>")
    assert RUN_ID[:7] in repr(run) and "running" in repr(run)
    page = run._repr_html_()
    assert "hunter2" not in page and "<script>" not in page and "&lt;script&gt;" in page


START = f"""
import sys
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal
run = ActiveRun(Journal(sys.argv[1], "run.jsonl"), "{RUN_ID}")
run.log({{"loss": 1.0}})
"""

EXITS = [
    ("", 0, ("completed", 0, None, None)),
    ("raise ValueError('no data')", 1, ("failed", 1, "ValueError: no data", None)),
    ("import os; os.kill(os.getpid(), 2)", None, ("killed", None, "KeyboardInterrupt", "SIGINT")),
    ("try:\n    1 / 0\nexcept Exception:\n    pass", 0, ("completed", 0, None, None)),
]


@pytest.mark.parametrize(("last", "code", "end"), EXITS, ids=["end", "error", "interrupt", "handled"])
def test_the_end_of_the_program_ends_the_run(folder: Path, last: str, code: int | None, end: Any) -> None:
    done = subprocess.run([sys.executable, "-c", START + last, str(folder)], capture_output=True, check=False)
    assert code is None or done.returncode == code, done.stderr
    assert ending(folder) == end


def test_a_forked_child_that_exits_does_not_end_the_run(folder: Path) -> None:
    fork = "import os\nif os.fork() == 0:\n    run.log({'child': 1}); sys.exit()\nos.wait(); run.log({'parent': 1})"
    subprocess.run([sys.executable, "-c", START + fork, str(folder)], check=True)
    assert len(events(folder, "end")) == 1 and len(events(folder, "m")) == 3
    assert (folder / "run.jsonl").read_text().splitlines()[-1].startswith('{"e":"end"')


def test_a_thousand_runs_in_one_process_leave_nothing_open(tmp_path: Path) -> None:
    gc.collect()  # of what other tests left: their descriptors would be closed meanwhile
    before = len(os.listdir("/dev/fd"))
    for n in range(1000):
        (tmp_path / str(n)).mkdir()
        run = ActiveRun(Journal(str(tmp_path / str(n)), "run.jsonl"), RUN_ID)
        run.log({"a": 1})
        run.finish()
    assert len(os.listdir("/dev/fd")) == before
