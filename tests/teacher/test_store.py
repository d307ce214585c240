"""The store: durable before it counts, torn tails passed over, one writer a segment."""

import asyncio
import os
import threading

import pytest

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.replies import Answer
from azdistill.teacher.store import ResponseStore, StoredAnswer, open_store


def stored(key: str, text: str = "yes") -> StoredAnswer:
    return StoredAnswer(key, "https://host", "m", Answer(text, "stop", 3, 1))


def fill(store: ResponseStore, *answers: StoredAnswer, close: bool = True) -> None:
    async def put_all() -> None:
        committing = asyncio.create_task(store.commit_forever())
        durable = [asyncio.Event() for _ in answers]
        for answer, event in zip(answers, durable, strict=True):
            store.put(answer, event.set)
        await asyncio.gather(*(event.wait() for event in durable))
        committing.cancel()

    asyncio.run(put_all())
    if close:
        store.close()


def segments(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_answer_is_on_disk_when_it_is_called_durable(tmp_path):
    store = ResponseStore(tmp_path, "run")
    fill(store, stored("a"), stored("b", "no\nline ends \u2028 inside"), close=False)
    found = ResponseStore(tmp_path, "later").find({"a", "b", "c"})
    assert found == {"a": stored("a").answer, "b": stored("b", "no\nline ends \u2028 inside").answer}
    store.close()


def test_what_is_pending_is_written_on_close(tmp_path):
    store = ResponseStore(tmp_path, "run")
    store.put(stored("a"), lambda: None)
    store.close()
    assert ResponseStore(tmp_path, "later").find({"a"})


def test_a_torn_tail_is_passed_over_and_never_appended_to(tmp_path):
    fill(ResponseStore(tmp_path, "run"), stored("a"), stored("b"))
    segment = tmp_path / "run-0-0.jsonl"
    segment.write_bytes(segment.read_bytes()[:-20])
    fill(ResponseStore(tmp_path, "run"), stored("c"))
    last = ResponseStore(tmp_path, "later")
    assert set(last.find({"a", "b", "c"})) == {"a", "c"}
    assert last.unreadable == 1
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl"]


WRONG_TYPE = b'{"key":"a","asked_at":"","teacher":"","answer":{"completion":[],"finish_reason":"","prompt_tokens":1}}'
FOREIGN = [b"", b"null", b"[1]", b'{"key": "a"}', b'{"key": ["a"]}', b"\xff\x00", WRONG_TYPE]


@pytest.mark.parametrize("line", FOREIGN)
def test_foreign_lines_are_counted_and_harm_nothing(tmp_path, line):
    (tmp_path / "foreign.jsonl").write_bytes(line + b"\n")
    fill(ResponseStore(tmp_path, "run"), stored("a"))
    later = ResponseStore(tmp_path, "later")
    assert set(later.find({"a"})) == {"a"}
    assert later.unreadable == 1


def test_a_key_answered_twice_keeps_one_answer_whatever_the_order_of_segments(tmp_path):
    fill(ResponseStore(tmp_path, "b"), stored("a", "second"))
    fill(ResponseStore(tmp_path, "a"), stored("a", "first"))
    assert ResponseStore(tmp_path, "later").find({"a"})["a"].completion == "first"


def test_writers_side_by_side_have_segments_of_their_own(tmp_path):
    def write(rank: int) -> None:
        store = ResponseStore(tmp_path, "run")
        for number in range(20):
            fill(store, stored(f"{rank}-{number}"), close=False)
        store.close()

    threads = [threading.Thread(target=write, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    later = ResponseStore(tmp_path, "later")
    assert len(later.find({f"{rank}-{number}" for rank in range(4) for number in range(20)})) == 80
    assert (later.unreadable, len(segments(tmp_path))) == (0, 4)


def test_on_a_mount_each_window_is_a_closed_segment(tmp_path):
    store = ResponseStore(tmp_path, "run", window_s=0.01, grow=False)
    fill(store, stored("a"), stored("b"))
    fill(store, stored("c"))
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl"]


def test_the_run_and_the_rank_name_the_segments(tmp_path):
    store = open_store(tmp_path, {"AZUREML_RUN_ID": "brave/run-1", "RANK": "3"})
    store.put(stored("a"), lambda: None)
    store.close()
    assert segments(tmp_path) == ["brave_run_1-3-0.jsonl"]
    assert open_store(tmp_path, {}).prefix == f"local{os.getpid()}-0"


def test_a_folder_that_can_not_be_written_is_one_message_before_anything_is_bought(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AzdistillError, match="can't be written"):
        ResponseStore(tmp_path / "file", "run").check_writable()
    ResponseStore(tmp_path / "new", "run").check_writable()
    assert segments(tmp_path / "new") == []


def test_a_store_that_is_not_there_yet_is_empty(tmp_path):
    assert ResponseStore(tmp_path / "new", "run").find({"a"}) == {}
