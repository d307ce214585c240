"""Compaction: nothing is lost at any moment, and the same store gives the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.teacher.replies import RowRejected
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.store.compaction import compact
from azdistill.teacher.store.segments import hold
from tests.teacher.stores import fill, filled, find, refused, run_python, segments, stored


def content(folder: Path) -> bytes:
    return b"".join((folder / name).read_bytes() for name in segments(folder))


def test_segments_are_merged_into_one_with_one_record_per_key(tmp_path):
    filled(tmp_path, "a", stored("k", "second", when=1_764_000_000_002), stored("l"), refused("m"), refused("n"))
    filled(tmp_path, "b", stored("k", "first", when=1_764_000_000_001), stored("n"))
    (tmp_path / "c.jsonl").write_bytes(b"garbage\n")
    before = dict(find(tmp_path, "klmn"))
    done = compact(tmp_path)
    assert (done.segments, done.now, done.kept, done.repeated, done.unreadable) == (3, 1, 4, 2, 1)
    outcomes = find(tmp_path, "klmn")
    assert (dict(outcomes), outcomes.unreadable) == (before, 0)
    assert outcomes["k"].completion == "first"
    assert isinstance(outcomes["m"], RowRejected)


def test_records_keep_their_bytes(tmp_path):
    lines = filled(tmp_path, "run", stored("a"), stored("b")).read_bytes()
    filled(tmp_path, "other", stored("c"))
    compact(tmp_path)
    assert lines in content(tmp_path)


def test_the_result_is_deterministic_and_compacting_it_again_changes_nothing(tmp_path):
    for folder in (tmp_path / "one", tmp_path / "two"):
        filled(folder, "a", *(stored(f"{number}") for number in range(50)))
        filled(folder, "b", *(stored(f"{number}") for number in range(30, 80)))
        compact(folder)
    assert segments(tmp_path / "one") == segments(tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    again = compact(tmp_path / "one")
    assert (again.segments, again.now, again.repeated) == (1, 1, 0)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_large_store_becomes_several_segments(tmp_path):
    filled(tmp_path, "a", *(stored(f"{number}") for number in range(50)))
    before = content(tmp_path)
    done = compact(tmp_path, largest_bytes=2000)
    assert done.now > 3
    assert content(tmp_path) == before
    names = segments(tmp_path)
    assert compact(tmp_path, largest_bytes=2000).now == done.now
    assert segments(tmp_path) == names


def test_refusals_can_be_removed(tmp_path):
    filled(tmp_path, "run", stored("a"), refused("b"), refused("c"))
    done = compact(tmp_path, forget_refusals=True)
    assert (done.kept, done.refusals_forgotten) == (1, 2)
    assert set(find(tmp_path, "abc")) == {"a"}


def test_a_store_of_a_newer_version_is_unchanged(tmp_path):
    filled(tmp_path, "run", stored("a"))
    (tmp_path / "new.jsonl").write_bytes(b'{"v":3,"key":"a"}\n')
    before = content(tmp_path)
    with pytest.raises(AzdistillError, match="has version 3"):
        compact(tmp_path)
    assert content(tmp_path) == before


def test_a_segment_that_is_being_written_is_not_touched(tmp_path):
    filled(tmp_path, "over", stored("a"), stored("b"))
    store = ResponseStore(tmp_path, "running")
    fill(store, stored("c"), close=False)
    (tmp_path / "made-this-moment.jsonl").touch()
    done = compact(tmp_path)
    assert (done.segments, done.now, done.in_use) == (3, 3, 2)
    fill(store, stored("d"))
    assert set(find(tmp_path, "abcd")) == set("abcd")
    assert compact(tmp_path).kept == 4


def test_concurrent_compactions_are_refused(tmp_path):
    filled(tmp_path, "run", stored("a"))
    with (tmp_path / ".compacting").open("ab") as lock:
        assert hold(lock)
        with pytest.raises(AzdistillError, match="another compaction is running"):
            compact(tmp_path)
    assert compact(tmp_path).kept == 1


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        compact(tmp_path / "none")
    done = compact(tmp_path)
    assert (done.segments, done.now) == (0, 0)


WRITING = """
import random, sys
from pathlib import Path
from azdistill.teacher.store import ResponseStore
from tests.teacher.stores import fill, stored
who, end = sys.argv[2], int(sys.argv[3])
for start in range(0, end, 20):
    store = ResponseStore(Path(sys.argv[1]), who, window_s=0.0)
    fill(store, *(stored(f"{who}-{number}") for number in range(start, start + 10)), close=False)
    fill(store, *(stored(f"{who}-{number}") for number in range(start + 10, start + 20)))
"""


def test_two_processes_write_while_a_third_compacts_and_a_fourth_reads(tmp_path):
    command = [sys.executable, "-c", WRITING, str(tmp_path)]
    writers = [subprocess.Popen([*command, who, "1000"]) for who in ("first", "second")]
    previous = 0
    while any(writer.poll() is None for writer in writers):
        compact(tmp_path)
        outcomes = find(tmp_path, [f"{who}-{number}" for who in ("first", "second") for number in range(1000)])
        assert outcomes.unreadable == 0
        assert len(outcomes) >= previous
        assert all(outcomes[key] == stored(key).outcome for key in list(outcomes)[-20:])
        previous = len(outcomes)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert compact(tmp_path).kept == 2000


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from azdistill.teacher.store.compaction import compact

calls = 0

def compact_and_die(folder, end):
    def die(event, arguments):
        global calls
        calls += event in ("open", "os.rename", "os.remove", "os.listdir")
        if calls == end:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    compact(folder, largest_bytes=2000)

root, end, code = Path(sys.argv[1]), 0, -9
while code:
    end += 1
    folder = Path(shutil.copytree(root / "original", root / f"{end}"))
    child = os.fork()  # its imports are already done
    if child == 0:
        compact_and_die(folder, end)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(end)
"""


@pytest.mark.slow
def test_a_kill_at_any_file_operation_loses_nothing(tmp_path):
    """Killed before each call that opens, renames, removes or lists files, until a compaction completes."""
    keys = [f"{number}" for number in range(40)]
    filled(tmp_path / "original", "a", *map(stored, keys[:25]))
    filled(tmp_path / "original", "b", *map(stored, keys[20:]))
    tries = int(run_python(KILLED, tmp_path))
    assert tries > 15
    for number in range(1, tries):
        folder = tmp_path / f"{number}"
        outcomes = find(folder, keys)
        assert (dict(outcomes), outcomes.unreadable) == ({key: stored(key).outcome for key in keys}, 0), number
        assert compact(folder).kept == 40
        assert not list(folder.glob("*.partial"))


FULL = """
import resource, sys
from pathlib import Path
from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store.compaction import compact
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
try:
    compact(Path(sys.argv[1]))
except AzdistillError as problem:
    print(problem)
"""


def test_a_full_disk_leaves_the_store_unchanged(tmp_path):
    filled(tmp_path, "a", *(stored(f"{number}") for number in range(50)))
    before = content(tmp_path)
    output = run_python(FULL, tmp_path)
    assert "cannot be compacted (File too large" in output
    assert "nothing is lost" in output
    assert content(tmp_path) == before
    assert not list(tmp_path.glob("*.partial"))
