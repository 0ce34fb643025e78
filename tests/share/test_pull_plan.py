"""What a pull decides to fetch, from what is there, what is here, and what was dealt with."""

import builder
import pytest

from gittrack.core import layout
from gittrack.share import pull, validate

ONE, TWO, WRITER = "1" * 40, "2" * 40, "a" * 16
RUN, LOG = layout.run_ref(builder.run_id(0)), layout.log_ref(WRITER)
LIST, RECORDS, CODE = (layout.archive_ref(WRITER, 0, part) for part in ("list", "records", "code"))
SNAPSHOT = layout.code_ref(ONE)
DATA = f"refs/track/data/{ONE}/bytes"
EVERY = {RUN: ONE, LOG: ONE, LIST: ONE, RECORDS: ONE, CODE: ONE, SNAPSHOT: ONE, DATA: ONE}


def test_tables_need_runs_logs_and_lists():
    assert set(pull.plan(EVERY, {}, (), pull.Wish().kinds).wants) == {RUN, LOG, LIST}


def test_more_comes_where_it_is_wanted_and_bytes_of_files_never():
    wanted = pull.plan(EVERY, {}, (), pull.Wish(code=True, records=True).kinds).wants
    assert set(wanted) == {*EVERY} - {DATA}


def test_what_is_here_or_was_dealt_with_is_not_fetched():
    assert pull.plan({RUN: ONE, LOG: ONE}, {RUN: ONE}, {(LOG, ONE)}, pull.Wish().kinds) == ({}, {})
    assert pull.plan({RUN: TWO, LOG: TWO}, {RUN: ONE}, {(LOG, ONE)}, pull.Wish().kinds).wants == {RUN: TWO, LOG: TWO}


def test_the_records_of_an_archive_are_followed_once_they_were_taken():
    assert pull.plan({RECORDS: TWO}, {RECORDS: ONE}, (), pull.Wish().kinds).wants == {RECORDS: TWO}


@pytest.mark.parametrize(
    "ref",
    [
        "refs/track/x", "refs/track/runs/00/" + builder.run_id(0), RUN + "0", RUN.upper(), LOG + "0", SNAPSHOT + "0",
        "refs/track/code/00/" + ONE, f"refs/track/archive/{WRITER}/00/list", f"refs/track/archive/{WRITER}/0/lists",
        "refs/track/runs/" + builder.run_id(0), "refs/heads/main",
    ],
)  # fmt: skip
def test_a_name_that_is_none_of_ours_is_odd(ref):
    assert validate.kind(ref) is None
    assert ref in pull.plan({ref: ONE}, {}, (), pull.Wish().kinds).odd
