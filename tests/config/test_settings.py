"""Settings: where each comes from, which one wins, and what is said about a wrong one."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from gittrack import errors
from gittrack.config import environment, values
from gittrack.config.keys import EXAMPLES, KEYS
from gittrack.config.settings import Settings, load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


class Places(NamedTuple):
    common_dir: str
    worktree: str | None


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(str(tmp_path / ".git"), str(tmp_path))


def read(places: Places, yaml: str | None = None, git: dict[str, str] | None = None, **environ: str) -> Settings:
    if yaml is not None:
        Path(places.worktree or "", "gittrack.yaml").write_text(yaml)
    return load(places, environ, git or {})


def test_without_any_file_everything_has_its_default(places: Places) -> None:
    settings = read(places)
    assert all(getattr(settings, key.name) == key.default for key in KEYS)
    assert {settings.origin(key.name) for key in KEYS} == {"default"}
    assert read(places._replace(worktree=None)).snapshot_large == 10_000_000


def test_a_file_is_read_and_remembers_its_lines(places: Places) -> None:
    settings = read(
        places,
        "# a comment\n"
        "experiment: iris\n"
        "metrics: [results.json, out/*.csv]\n"
        "goals:\n  loss: minimize\n  val/acc: max\n"
        "params: [config.yaml]\n"
        "large: 25 MiB\n"
        "include: data/small.csv\n"
        "autolog: no\n"
        "redact:\n  patterns: ['corp-[0-9]{4,}']\n  allow: [corp-0000]\n",
    )
    assert settings.experiment == "iris" and settings.origin("experiment") == "gittrack.yaml:2"
    assert settings.metrics == ("results.json", "out/*.csv")
    assert settings.goals == {"loss": "minimize", "val/acc": "maximize"}
    assert settings.large == 25 * 1024 * 1024 and settings.origin("large") == "gittrack.yaml:8"
    assert settings.include == ("data/small.csv",) and settings.autolog is False
    assert settings.redact == (("corp-[0-9]{4,}",), ("corp-0000",))
    assert settings.redactor({}).text("corp-1234 corp-0000") == "[redacted] corp-0000"


def test_metrics_as_a_mapping_are_goals(places: Places) -> None:
    settings = read(places, "metrics: {loss: minimize}\n")
    assert settings.goals == {"loss": "minimize"} and settings.metrics == ()


def test_command_line_wins_over_variable_over_git_config_over_file(places: Places) -> None:
    yaml, git = "large: 1MB\nexperiment: file\n", {"track.large": "2MB"}
    settings = read(places, yaml, git)
    assert settings.large == 2_000_000 and settings.origin("large") == "git config track.large"
    settings = read(places, yaml, git, GITTRACK_LARGE="3MB")
    assert settings.large == 3_000_000 and settings.origin("large") == "GITTRACK_LARGE"
    settings = settings.override(large=4, experiment=None)
    assert settings.large == 4 and settings.origin("large") == "command line"
    assert settings.experiment == "file" and settings.origin("experiment") == "gittrack.yaml:2"


def test_git_config_and_variables_are_texts(places: Places) -> None:
    git = {"track.systemmetrics": "off", "track.include": "a, b/c", "track.goals": "loss=min, acc=maximize"}
    settings = read(places, None, git, GITTRACK_REDACT="a{2,3}", GITTRACK_AUTOLOG="0", GITTRACK_EXPERIMENT="")
    assert settings.system_metrics is False and settings.include == ("a", "b/c")
    assert settings.goals == {"loss": "minimize", "acc": "maximize"}
    assert settings.redact.patterns == ("a{2,3}",) and settings.autolog is False
    assert settings.experiment is None


def test_settings_of_artifacts_are_read_from_file_and_from_text(places: Places) -> None:
    settings = read(
        places,
        "store: [s3://bucket/a, file:///mnt/b]\nlarge: 2MB\nartifacts: ['*.pt']\nstored: ['*.onnx']\n"
        "keep: {best: 3, every: 10}\nupload_rate: 5MB/s\n",
    )
    assert settings.store == ("s3://bucket/a", "file:///mnt/b") and settings.artifacts == ("*.pt",)
    assert settings.stored == ("*.onnx",)
    assert settings.keep == {"best": 3, "every": 10} and settings.upload_rate == 5_000_000
    git = {"track.store": "lfs", "track.keep": "latest=1, best=2", "track.uploadrate": "none"}
    settings = read(places, None, git, GITTRACK_ARTIFACTS="*.pt, out/*")
    assert settings.store == ("lfs",) and settings.keep == {"latest": 1, "best": 2}
    assert settings.upload_rate is None and settings.artifacts == ("*.pt", "out/*")
    assert read(places, None, None, GITTRACK_ARTIFACTS="off").artifacts is False
    assert settings.large == 2_000_000


def test_how_many_runs_have_refs_is_a_number_or_no_limit(places: Places) -> None:
    assert read(places).archive == 20
    assert read(places, "archive: 100\n").archive == 100
    assert [read(places, f"archive: {text}\n").archive for text in ("false", "0", "never")] == [None] * 3
    assert read(places, None, None, GITTRACK_ARCHIVE="off").archive is None
    for wrong in ("true", "-1", "1.5", "many"):
        with pytest.raises(errors.BadConfig, match="a number, or false"):
            read(places, f"archive: {wrong}\n")


def test_a_password_in_the_address_of_a_store_is_not_repeated(places: Places) -> None:
    with pytest.raises(errors.BadConfig) as caught:
        read(places, "store: 's3://key:hunter2@bucket'\n")
    assert "hunter2" not in caught.value.message


def test_variables_that_are_no_settings_are_not_looked_at(places: Places) -> None:
    assert read(places, None, {"track": "x", "user.name": "y"}, GITTRACK_RUN_ID="1", GITTRACK_LARG="2").large


@pytest.mark.parametrize(
    ("yaml", "message", "hint"),
    [
        ("experiment: x\nmetrcs: [a]\n", "gittrack.yaml:2: metrcs is no setting", "did you mean metrics?"),
        ("zzzz: 1\n", "zzzz is no setting", "known settings: experiment"),
        ("snapshot_large: big\n", "gittrack.yaml:1: snapshot_large must be a size such as 10MB, not 'big'", "left out"),
        ("autolog: maybe\n", "autolog must be true or false, not 'maybe'", ""),
        ("goals: {loss: down}\n", "goals must be a mapping from metric to minimize or maximize", ""),
        ("params: [1]\n", "params must be a list of texts, not [1]", ""),
        ("experiment: [a]\n", "experiment must be a text", ""),
        ("redact: {pattern: [a]}\n", "redact must be a list of patterns", ""),
        ("metrics: 3\n", "metrics must be a list of files, or a mapping", ""),
        ("store: ftp://host/x\n", "store must be embedded, lfs, or a URL that begins with s3://", "kept"),
        ("store: s3://key:secret@bucket\n", "without credentials (they are taken from the environment)", ""),
        ("store: [embedded, lfs]\n", "store must be embedded alone, or other stores", ""),
        ("artifacts: 3\n", "artifacts must be true, false, or a list of patterns, not 3", ""),
        ("keep: {first: 3}\n", "keep must be a mapping from best, latest or every to a number", ""),
        ("keep: {best: -1}\n", "keep must be a mapping from best, latest or every to a number", ""),
        ("upload_rate: fast\n", "upload_rate must be a size such as 10MB", ""),
        ("- a\n", "gittrack.yaml: expected `key: value` lines", "configuration.md"),
        ("a: [1\nb: 2\n", "gittrack.yaml:2", "YAML"),
        ("large: 1\nlarge: 2\n", "gittrack.yaml:2: large is set a second time", "line 1"),
        ("experiment: !!python/object/apply:os.system [true]\n", "gittrack.yaml:1", "YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_next_step(places: Places, yaml: str, message: str, hint: str) -> None:
    with pytest.raises(errors.BadConfig) as caught:
        read(places, yaml)
    assert message in caught.value.message and hint in caught.value.hint


def test_every_setting_has_an_example_that_is_right_and_a_directory_is_shown_as_an_address(places: Places) -> None:
    for name, example in EXAMPLES.items():
        read(places, f"{name}: {example}\n")
        with pytest.raises(errors.BadConfig) as caught:
            read(places, f"{name}: {{a: {{b: c}}}}\n")
        assert f"for example `{name}: {example}`" in caught.value.hint
    assert [*EXAMPLES] == [key.name for key in KEYS]
    with pytest.raises(errors.BadConfig) as caught:
        read(places, "store: /tmp/x2\n")
    assert "`store: file:///tmp/x2`" in caught.value.hint


def test_a_wrong_git_config_or_variable_is_named(places: Places) -> None:
    with pytest.raises(errors.BadConfig, match=r"git config track\.larg is no setting") as caught:
        read(places, None, {"track.larg": "1"})
    assert caught.value.hint == "did you mean track.large?"
    with pytest.raises(errors.BadConfig, match=r"GITTRACK_LARGE: large must be a size"):
        read(places, None, None, GITTRACK_LARGE="x")


def test_the_remote_of_the_runs_stands_in_git_config_beside_the_settings(places: Places) -> None:
    assert read(places, None, {"track.remote": "runs", "track.large": "1"}).large == 1


def test_an_empty_file_and_bytes_that_are_no_text(places: Places) -> None:
    assert read(places, "").experiment is None
    Path(places.worktree or "", "gittrack.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.BadConfig, match=r"gittrack\.yaml"):
        read(places)


def test_a_file_that_cannot_be_read_is_said(places: Places) -> None:
    Path(places.worktree or "", "gittrack.yaml").mkdir()
    with pytest.raises(errors.BadConfig, match="cannot be read"):
        read(places)


@pytest.mark.parametrize(
    ("text", "size"), [("10MB", 10_000_000), ("1.5 GiB", 1610612736), ("7", 7), ("3k", 3000), (12, 12), ("2 B", 2)]
)
def test_sizes(text: object, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize("text", ["-1", "10 apples", "", True, float("nan"), None, [1]])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="a size"):
        values.size(text)


def test_yaml_and_the_scanner_are_not_loaded_where_there_is_no_file(places: Places) -> None:
    read(places).redactor({})
    script = (
        "import sys\nfrom gittrack.config import settings\nfrom collections import namedtuple\n"
        f"places = namedtuple('P', 'common_dir worktree')({places.common_dir!r}, {places.worktree!r})\n"
        "settings.load(places, {}, {}).redactor({'A_PASSWORD': 'x' * 9})\n"
        "print(sorted({'yaml', 'detect_secrets', 'difflib', 'dataclasses', 'pathlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr


def test_the_policy_carries_the_settings(places: Places) -> None:
    settings = read(places, "snapshot_large: 5\nuntracked: 6\ninclude: [a]\nexclude: [b]\n")
    policy = settings.policy(settings.redactor({"X_TOKEN": "abcdefgh"}))
    assert (policy.max_file, policy.max_total, policy.include, policy.exclude) == (5, 6, ("a",), ("b",))
    assert policy.refuse_path(".env") and policy.refuse_path("train.py") is None
    assert policy.redactor.text("abcdefgh") == "[redacted]"


def test_the_page_on_configuration_has_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| [^|]* \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE))
    assert set(rows) == {key.name for key in KEYS}
    shown = {"experiment": "none", "goals": "none", "redact": "none", "autolog": "true", "system_metrics": "true",
             "artifacts": "true", "keep": "none", "upload_rate": "none", "store": "embedded", "sign": "true",
             "push": "false",
             "hook_models": "those of frameworks", "hook_notebooks": "false", "hook_secrets": "true"}  # fmt: skip
    for key in KEYS:
        default = rows[key.name].strip().strip("`")
        expected = shown.get(key.name, "none" if key.default in ((), {}, None) else key.default)
        assert (values.size(default) if isinstance(expected, int) else default) == expected, key.name
    for name in environment.OTHERS:
        assert name in PAGE.read_text()


def test_the_example_of_the_page_is_read_as_it_stands(places: Places) -> None:
    settings = read(places, re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.S)[0])
    assert settings.store == ("s3://our-models/iris",) and settings.keep == {"best": 3, "latest": 1, "every": 10}
    assert settings.redact.patterns and settings.goals == {"loss": "minimize", "val/acc": "maximize"}


def test_the_environment_is_read_in_one_place() -> None:
    assert environment.current() == dict(os.environ)
