"""Which file of two runs is meant where nobody names one."""

from gittrack.compare import weight_files
from gittrack.runs.artifacts import Artifact


def file(path):
    return Artifact(path, "0" * 64, 1, "100644", "store", "", 0, "file", None, 0.0)


def test_an_ending_in_capitals_says_the_same():
    files = [file("notes.txt"), file("MODEL.PT")]
    assert weight_files.pair(files, files) == (files[1], files[1])
    assert weight_files.holds_weights("a/b.SafeTensors") and not weight_files.holds_weights("pt")
