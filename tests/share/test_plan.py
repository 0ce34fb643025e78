"""What a push decides, without a repository."""

import pytest

from gittrack.core import layout
from gittrack.core.annotations import Tombstones
from gittrack.git.repository import RefChange
from gittrack.share.plan import DIVERGED, OTHER, PURGED, Archived, Left, Run, There, batches, plan
from gittrack.share.push import groups

A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
ID = "0123456789abcdef0123"
REF = layout.run_ref(ID)
WRITER = "f" * 16


def decided(run=None, there=None, listed=None, **more):
    refs = more.pop("refs", ())
    here = more.pop("here", {})
    return plan(here, There(there or {}, listed or {}), [run] if run else [], refs, more.pop("forward", ()), **more)


def test_a_run_that_is_lacking_goes_after_its_code():
    found = decided(Run(ID, A, C))
    assert found.changes == (RefChange(layout.code_ref(C), None, C), RefChange(REF, None, A))
    assert found.runs == (ID,)


def test_without_code_only_the_record_goes():
    assert decided(Run(ID, A, C), code=False).changes == (RefChange(REF, None, A),)


@pytest.mark.parametrize("there", [{"there": {REF: A}}, {"listed": {ID: A}}])
def test_a_run_that_is_there_by_its_ref_or_in_a_list_stays(there):
    assert decided(Run(ID, A, None), **there).every == ()


def test_code_that_is_lacking_follows_a_run_that_is_there():
    assert decided(Run(ID, A, C), {REF: A}).changes == (RefChange(layout.code_ref(C), None, C),)
    assert decided(Run(ID, A, C), listed={ID: A}).every == ()


def test_a_run_goes_on_from_where_it_is_there_and_never_over_another_one():
    assert decided(Run(ID, B, None), {REF: A}, forward={REF}).changes == (RefChange(REF, A, B),)
    assert decided(Run(ID, B, None), {REF: A}).left == (Left(ID, OTHER),)
    assert decided(Run(ID, B, None), listed={ID: A}).left == (Left(ID, OTHER),)


@pytest.mark.parametrize("graves", [Tombstones(frozenset({ID})), Tombstones(oids=frozenset({A}))])
def test_what_was_purged_never_goes(graves):
    found = decided(Run(ID, A, C), graves=graves)
    assert (found.every, found.left) == ((), (Left(ID, PURGED),))


def test_a_purged_snapshot_stays_when_its_run_goes():
    assert decided(Run(ID, A, C), graves=Tombstones(oids=frozenset({C}))).changes == (RefChange(REF, None, A),)


def test_logs_and_archives_only_grow_and_the_list_comes_last():
    here = {layout.archive_ref(WRITER, 0, part): oid for part, oid in (("list", A), ("records", B), ("code", C))}
    here[layout.log_ref(WRITER)] = D
    found = decided(here=here, refs=here)
    assert [change.ref.rpartition("/")[2] for change in found.archives] == ["records", "code", "list"]
    assert found.logs == (RefChange(layout.log_ref(WRITER), None, D),)
    behind = decided(here=here, refs=here, there=dict.fromkeys(here, "e" * 40), forward=here)
    assert {change.old for change in behind.every} == {"e" * 40}
    apart = decided(here=here, refs=here, there=dict.fromkeys(here, "e" * 40))
    assert apart.every == () and {one.why for one in apart.left} == {DIVERGED}
    assert len(decided(here=here, refs=here, code=False).archives) == 2


def test_refs_of_archived_runs_go_when_they_stand_as_the_archive_has_them():
    there = {REF: A, layout.code_ref(C): C}
    found = decided(there=there, archived=[Archived(ID, A, C)])
    assert found.archives == (RefChange(REF, A, None), RefChange(layout.code_ref(C), C, None))
    assert decided(there=there, archived=[Archived(ID, B, C)]).every == ()
    needed = decided(there=there, archived=[Archived(ID, A, C)], here={layout.code_ref(C): C})
    assert needed.archives == (RefChange(REF, A, None),)


def test_what_goes_at_once_is_one_push_and_otherwise_an_order_in_which_nothing_is_missing():
    here = {layout.archive_ref(WRITER, 0, part): A for part in ("list", "records", "code")}
    found = decided(
        Run(ID, B, C), {REF: A}, here=here, refs=here, forward={REF}, archived=[Archived("1" * 20, A, None)]
    )
    assert groups(found, True, 100) == [(list(found.every), True)]
    apart = groups(found, False, 100)
    assert [change for some, _ in apart for change in some] == list(found.every)
    assert not any(atomic for _, atomic in apart)
    assert [len(some) for some in batches(list(range(5)), 2)] == [2, 2, 1]
