"""The store on a mount: every few seconds it adds a complete segment. tests/mounts has the same on real mounts."""

import re

import pytest

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.store.compaction import compact
from azdistill.teacher.store.writer import LOCAL_WINDOW_S, MOUNT_WINDOW_S, open_store
from tests.job_variables import job_variables
from tests.teacher.stores import fill, find, mounted, segments, stored


def mounted_store(folder, **options):
    return ResponseStore(folder, "run", **{"window_s": 0.01, "grow": False, "create": mounted, **options})


def test_the_simulated_mount_shows_an_empty_file_until_it_is_closed(tmp_path):
    segment = mounted(tmp_path / "a.jsonl")
    segment.write(b"hello\n")
    assert (tmp_path / "a.jsonl").read_bytes() == b""
    segment.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b"hello\n"
    with pytest.raises(FileExistsError):
        mounted(tmp_path / "a.jsonl")


def test_durable_answers_are_visible_to_other_processes(tmp_path):
    store = mounted_store(tmp_path)
    for key in "abc":
        fill(store, stored(key), close=False)
        assert key in find(tmp_path, [key])
    assert all(re.fullmatch(r"run-0-[0-9a-f]{8}-[012]\.jsonl", name) for name in segments(tmp_path))
    assert len(segments(tmp_path)) == 3


def test_no_reader_opens_a_segment_before_it_is_complete(tmp_path):
    """A mount would show it empty to that reader for good."""
    visible = []

    def watched(path):
        segment = mounted(path)
        visible.extend(segments(tmp_path))
        return segment

    fill(mounted_store(tmp_path, create=watched), stored("a"))
    assert visible == []
    assert "a" in find(tmp_path, ["a"])


def test_what_a_killed_process_leaves_is_no_segment_and_stays(tmp_path):
    """Compaction must not remove it: another node may be writing it."""
    segment = mounted(tmp_path / "run-0-0badc0de-0.jsonl.writing")
    segment.write(b'{"v":2,"crc":"')
    segment.close()
    fill(mounted_store(tmp_path), stored("a"))
    outcomes = find(tmp_path, ["a"])
    assert (list(outcomes), outcomes.unreadable) == (["a"], 0)
    assert compact(tmp_path).kept == 1
    assert [path.name for path in tmp_path.glob("*.writing")] == ["run-0-0badc0de-0.jsonl.writing"]


def test_answers_of_one_window_share_a_segment(tmp_path):
    fill(mounted_store(tmp_path, window_s=0.2), *map(stored, "abcdef"))
    assert len(segments(tmp_path)) == 1


def test_a_retried_job_replaces_no_segment(tmp_path):
    """Azure restarts a preempted job with the same run ID."""
    for key in "ab":
        fill(mounted_store(tmp_path), stored(key))
    assert list(find(tmp_path, "ab")) == ["a", "b"]


@pytest.mark.parametrize("step", ["close", "rename"])
def test_an_upload_that_fails_is_written_again(tmp_path, step):
    class Failing:
        failures = 1

        def __call__(self, path):
            segment = mounted(path)
            if self.failures:
                self.failures -= 1
                (tmp_path / f"{path.name}.uploading").unlink()  # the close fails
                if step == "rename":
                    segment.path = tmp_path / "elsewhere"
                    (tmp_path / "elsewhere.uploading").touch()
                    path.unlink()
            return segment

    store = mounted_store(tmp_path, create=Failing())
    with pytest.raises(ExceptionGroup) as group:
        fill(store, stored("a"))
    assert "cannot be written" in str(group.value.exceptions[0])
    assert segments(tmp_path) == []
    store.close()
    assert "a" in find(tmp_path, ["a"])
    store.create.failures = 1
    store.put(stored("b"), lambda: None)
    with pytest.raises(AzdistillError, match="cannot be written"):
        store.close()


def test_the_store_adds_segments_in_azure_ml_and_appends_elsewhere(tmp_path):
    in_azure, local = open_store(tmp_path, job_variables()), open_store(tmp_path, {})
    assert (in_azure.grow, in_azure.window_s) == (False, MOUNT_WINDOW_S)
    assert (local.grow, local.window_s) == (True, LOCAL_WINDOW_S)


def test_many_small_segments_are_compacted_into_one(tmp_path):
    store = mounted_store(tmp_path, window_s=0.0)
    for number in range(300):
        store.put(stored(f"{number}"), lambda: None)
        store.close()
    assert len(segments(tmp_path)) == 300
    done = compact(tmp_path)
    assert (done.segments, done.now, done.kept) == (300, 1, 300)
    assert len(find(tmp_path, map(str, range(300)))) == 300
