"""On a mount that shows files on close only: every few seconds a segment of its own, never opened again."""

import pytest

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.store.compaction import compact
from azdistill.teacher.store.writer import LOCAL_WINDOW_S, MOUNT_WINDOW_S, open_store
from tests.teacher.stores import fill, find, mounted, segments, stored


def a_store(folder, **options):
    return ResponseStore(folder, "run", **{"window_s": 0.01, "grow": False, "create": mounted, **options})


def test_the_mount_of_these_tests_shows_a_file_on_close_and_lets_none_grow(tmp_path):
    segment = mounted(tmp_path / "a.jsonl")
    segment.write(b"hello\n")
    assert segments(tmp_path) == []
    segment.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b"hello\n"
    with pytest.raises(FileExistsError):
        mounted(tmp_path / "a.jsonl")


def test_what_is_called_durable_is_seen_by_others(tmp_path):
    store = a_store(tmp_path)
    for key in "abc":
        fill(store, stored(key), close=False)
        assert key in find(tmp_path, [key])
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl", "run-0-2.jsonl"]


def test_a_segment_that_grows_would_be_seen_too_late(tmp_path):
    """Why a mount has windows of its own."""
    store = a_store(tmp_path, grow=True)
    fill(store, stored("a"), close=False)
    assert "a" not in find(tmp_path, ["a"])
    store.close()
    assert "a" in find(tmp_path, ["a"])


def test_what_arrives_within_a_window_shares_a_segment(tmp_path):
    fill(a_store(tmp_path, window_s=0.2), *map(stored, "abcdef"))
    assert segments(tmp_path) == ["run-0-0.jsonl"]


def test_a_job_that_is_tried_again_takes_new_names(tmp_path):
    fill(a_store(tmp_path), stored("a"))
    fill(a_store(tmp_path), stored("b"))
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl"]


def test_an_upload_that_fails_on_close_is_tried_once_more_and_then_an_error(tmp_path):
    class Failing:
        left = 1

        def __call__(self, path):
            segment = mounted(path)
            if self.left:
                self.left -= 1
                (tmp_path / f"{path.name}.uploading").unlink()  # the link at its close fails
            return segment

    store = a_store(tmp_path, create=Failing())
    with pytest.raises(ExceptionGroup) as group:
        fill(store, stored("a"))
    assert "cannot be written" in str(group.value.exceptions[0])
    store.close()
    assert "a" in find(tmp_path, ["a"])
    store.create.left = 1
    store.put(stored("b"), lambda: None)
    with pytest.raises(AzdistillError, match="cannot be written"):
        store.close()


def test_inside_azure_ml_the_store_rotates_and_elsewhere_it_grows(tmp_path):
    there, here = open_store(tmp_path, {"AZUREML_RUN_ID": "r"}), open_store(tmp_path, {})
    assert (there.grow, there.window_s) == (False, MOUNT_WINDOW_S)
    assert (here.grow, here.window_s) == (True, LOCAL_WINDOW_S)


def test_many_small_segments_become_one(tmp_path):
    store = a_store(tmp_path, window_s=0.0)
    for number in range(300):
        store.put(stored(f"{number}"), lambda: None)
        store.close()
    assert len(segments(tmp_path)) == 300
    done = compact(tmp_path)
    assert (done.segments, done.now, done.kept) == (300, 1, 300)
    assert len(find(tmp_path, map(str, range(300)))) == 300
