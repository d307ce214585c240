"""The store on a mount that shows files only when closed: every few seconds it writes a new segment."""

import pytest

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.store.compaction import compact
from azdistill.teacher.store.writer import LOCAL_WINDOW_S, MOUNT_WINDOW_S, open_store
from tests.teacher.stores import fill, find, mounted, segments, stored


def mounted_store(folder, **options):
    return ResponseStore(folder, "run", **{"window_s": 0.01, "grow": False, "create": mounted, **options})


def test_the_simulated_mount_shows_files_on_close_and_allows_no_append(tmp_path):
    segment = mounted(tmp_path / "a.jsonl")
    segment.write(b"hello\n")
    assert segments(tmp_path) == []
    segment.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b"hello\n"
    with pytest.raises(FileExistsError):
        mounted(tmp_path / "a.jsonl")


def test_durable_answers_are_visible_to_other_processes(tmp_path):
    store = mounted_store(tmp_path)
    for key in "abc":
        fill(store, stored(key), close=False)
        assert key in find(tmp_path, [key])
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl", "run-0-2.jsonl"]


def test_a_growing_segment_is_invisible_until_it_is_closed(tmp_path):
    """The reason for one segment per window on a mount."""
    store = mounted_store(tmp_path, grow=True)
    fill(store, stored("a"), close=False)
    assert "a" not in find(tmp_path, ["a"])
    store.close()
    assert "a" in find(tmp_path, ["a"])


def test_answers_of_one_window_share_a_segment(tmp_path):
    fill(mounted_store(tmp_path, window_s=0.2), *map(stored, "abcdef"))
    assert segments(tmp_path) == ["run-0-0.jsonl"]


def test_a_retried_job_uses_new_segment_names(tmp_path):
    fill(mounted_store(tmp_path), stored("a"))
    fill(mounted_store(tmp_path), stored("b"))
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl"]


def test_an_upload_that_fails_on_close_is_retried_once(tmp_path):
    class Failing:
        failures = 1

        def __call__(self, path):
            segment = mounted(path)
            if self.failures:
                self.failures -= 1
                (tmp_path / f"{path.name}.uploading").unlink()  # the link at its close fails
            return segment

    store = mounted_store(tmp_path, create=Failing())
    with pytest.raises(ExceptionGroup) as group:
        fill(store, stored("a"))
    assert "cannot be written" in str(group.value.exceptions[0])
    store.close()
    assert "a" in find(tmp_path, ["a"])
    store.create.failures = 1
    store.put(stored("b"), lambda: None)
    with pytest.raises(AzdistillError, match="cannot be written"):
        store.close()


def test_the_store_starts_new_segments_in_azure_ml_and_appends_elsewhere(tmp_path):
    in_azure, local = open_store(tmp_path, {"AZUREML_RUN_ID": "r"}), open_store(tmp_path, {})
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
