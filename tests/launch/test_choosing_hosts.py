"""Which of several hosts gets a job."""

import pytest

from gittrack import errors
from gittrack.launch import usage
from gittrack.launch.engine import state
from gittrack.launch.engine.host_facts import Gpu, Look
from gittrack.launch.jobs.choosing import Candidate, best, is_free, load_of, names

GB = 1 << 30


def gpu(index: int, used: int = 0, busy: int = 0) -> Gpu:
    return Gpu(index, f"GPU-0000000{index}", "A100", 40 * GB, used, busy)


def test_any_is_all_that_the_settings_name_in_their_order() -> None:
    assert names("any", {"b": {}, "a": {}}) == ["b", "a"]
    assert names("a, b,a", {}) == ["a", "b"]
    assert names("c,any", {"b": {}, "a": {}, "c": {}}) == ["c", "b", "a"]
    with pytest.raises(errors.UsageError):
        names("any", {})
    with pytest.raises(errors.UsageError):
        names(" , ", {"a": {}})


def test_a_host_is_free_when_the_gpus_that_are_wanted_are_idle() -> None:
    half = (gpu(0, used=20 * GB), gpu(1))
    assert is_free(Candidate("x", "1", half, 0.0))
    assert not is_free(Candidate("x", "0", half, 0.0))
    assert not is_free(Candidate("x", "all", half, 0.0))
    assert is_free(Candidate("x", "GPU-00000001", half, 0.0))
    assert not is_free(Candidate("x", "GPU-0000", half[:1], 0.0))
    assert is_free(Candidate("x", "1,GPU-0000", half, 0.0))  # the beginning of an id is enough, as for --gpus
    assert is_free(Candidate("x", "MIG-12345678", half, 0.0))
    assert not is_free(Candidate("x", "all", (), 0.0))


def test_what_a_job_uses_is_shown_of_the_gpus_that_it_was_given() -> None:
    both = (gpu(0), gpu(1))
    for requests, given in (
        ([{"Count": -1, "DeviceIDs": None}], both),
        ([{"Count": 0, "DeviceIDs": ["1"]}], both[1:]),
        ([{"DeviceIDs": ["GPU-00000000"]}], both[:1]),
        ([], ()),
        (None, ()),
        ("nonsense", ()),
    ):
        container = state.read({"HostConfig": {"DeviceRequests": requests}})
        assert usage.given(container.gpus, both) == given


def test_without_gpus_the_load_decides() -> None:
    assert is_free(Candidate("x", None, (), 1.2))
    chosen = best([Candidate("busy", None, (), 0.8), Candidate("idle", None, (), 0.1), Candidate("too", None, (), 0.1)])
    assert chosen is not None and chosen.name == "idle"
    assert best([Candidate("x", "all", (), 0.0)]) is None


@pytest.mark.parametrize(("said", "load"), [(b"3.00 1.0 1.0 1/2 3\n", 0.75), (b"", 0.0), (b"nonsense", 0.0)])
def test_the_load_is_that_of_the_last_minute_by_processors(said: bytes, load: float) -> None:
    assert load_of(said, Look(cpus=4)) == load
