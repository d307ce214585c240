"""The store: durable before it counts, what is torn or foreign passed over, one writer a segment."""

import dataclasses
import json
import os
import threading
from zlib import crc32

import orjson
import pytest

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.replies import Answer, RowRejected
from azdistill.teacher.store import ResponseStore, open_store
from azdistill.teacher.store.records import decode, encode
from tests.teacher.stores import fill, filled, find, refused, run_python, segments, stored


def test_an_answer_is_on_disk_when_it_is_called_durable(tmp_path):
    store = ResponseStore(tmp_path, "run")
    odd = 'no\nline ends \u2028 inside, a quote " and 🙂'
    fill(store, stored("a"), stored("b", odd), close=False)
    assert find(tmp_path, ["a", "b", "c"]) == {"a": stored("a").outcome, "b": stored("b", odd).outcome}
    store.close()


def test_what_is_pending_is_written_on_close(tmp_path):
    store = ResponseStore(tmp_path, "run")
    store.put(stored("a"), lambda: None)
    store.close()
    assert "a" in find(tmp_path, ["a"])


def test_a_record_comes_back_whole(tmp_path):
    filled(tmp_path, "run", stored("a"), refused("b"))
    found = find(tmp_path, ["b", "a"])
    assert list(found) == ["b", "a"]
    assert [found.stored(key) for key in found] == [refused("b"), stored("a")]
    with pytest.raises(KeyError):
        found["c"]


def test_log_probabilities_come_back_as_they_came_whatever_the_bytes(tmp_path):
    said = [b'[{"token":"\xc3\xbc \n}","logprob":-0.2500}]' * 2000, os.urandom(50), None]
    given = [
        dataclasses.replace(stored(f"k{n}"), outcome=Answer("yes", "stop", 3, 1, None, raw))
        for n, raw in enumerate(said)
    ]
    segment = filled(tmp_path, "run", *given)
    found = find(tmp_path, ["k0", "k1", "k2"])
    assert [found.stored(key) for key in found] == given
    assert segment.stat().st_size < 3000
    torn = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(torn[0][:700] + torn[1] + torn[2])
    later = find(tmp_path, ["k0", "k1", "k2"])
    assert (later, later.unreadable) == ({"k1": given[1].outcome, "k2": given[2].outcome}, 1)


def test_a_record_can_be_read_without_its_log_probabilities():
    outcome = Answer("yes", "stop", 3, 1, None, b"[1]")
    given = dataclasses.replace(stored("a"), outcome=outcome)
    assert decode(encode(given), logprobs=False) == stored("a")


def test_a_refusal_is_found_with_its_reason_and_an_answer_counts_before_it(tmp_path):
    filled(tmp_path, "run", refused("a"), refused("b"), stored("b", when=1_764_000_999_000))
    assert find(tmp_path, ["a", "b"]) == {"a": RowRejected("content_filter", "HTTP 400: no"), "b": stored("b").outcome}


def test_of_several_answers_the_earliest_counts_whatever_segment_it_is_in(tmp_path):
    filled(tmp_path, "a", stored("k", "second", when=1_764_000_000_002))
    filled(tmp_path, "b", stored("k", "first", when=1_764_000_000_001), stored("k", "third", when=1_764_000_000_003))
    assert find(tmp_path, ["k"])["k"].completion == "first"


def test_a_line_is_json_with_its_version_and_a_checksum_in_front(tmp_path):
    line = filled(tmp_path, "run", stored("a")).read_bytes()
    assert json.loads(line) == {
        "v": 2,
        "crc": json.loads(line)["crc"],
        "key": "a",
        "when": 1_764_000_000_000,
        "answer": {"completion": "yes", "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 1},
        "asked_at": "https://host",
        "teacher": "m",
        "latency_s": 0.25,
    }
    assert line.startswith(b'{"v":2,"crc":"')


def test_a_segment_cut_anywhere_keeps_every_whole_record(tmp_path):
    """Inside of a character of several bytes too; the newline alone is not missed."""
    segment = filled(tmp_path, "run", stored("a"), stored("b", "größer 🙂"))
    whole = segment.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        segment.write_bytes(whole[:end])
        found = find(tmp_path, ["a", "b"])
        kept = {"a", "b"} if end == len(whole) - 1 else {"a"}
        assert (set(found), found.unreadable) == (kept, int(first < end < len(whole) - 1)), end


@pytest.mark.parametrize(("cut", "found"), [(1, {"a", "b", "c"}), (2, {"a", "c"}), (40, {"a", "c"}), (150, {"a", "c"})])
def test_what_was_appended_to_a_segment_without_newline_is_found(tmp_path, cut, found):
    torn = filled(tmp_path / "one", "run", stored("a"), stored("b")).read_bytes()[:-cut]
    whole = filled(tmp_path / "two", "run", stored("c")).read_bytes()
    (tmp_path / "joined.jsonl").write_bytes(torn + whole)
    later = find(tmp_path, ["a", "b", "c"])
    assert {key: later.stored(key) for key in later} == {key: stored(key) for key in found}
    assert later.unreadable == (cut > 1)


def test_a_torn_tail_is_never_appended_to(tmp_path):
    segment = filled(tmp_path, "run", stored("a"), stored("b"))
    segment.write_bytes(segment.read_bytes()[:-20])
    fill(ResponseStore(tmp_path, "run"), stored("c"))
    later = find(tmp_path, ["a", "b", "c"])
    assert (set(later), later.unreadable) == ({"a", "c"}, 1)
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl"]


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path):
    segment = filled(tmp_path, "run", stored("a"))
    whole = segment.read_bytes()
    of_another_version = whole.index(b"2")
    for place in set(range(len(whole) - 1)) - {of_another_version}:
        segment.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "a" not in find(tmp_path, ["a"]), place


WRONG_TYPE = b'{"key":"a","asked_at":"","teacher":"","answer":{"completion":[],"finish_reason":"","prompt_tokens":1}}'
FOREIGN = [
    b"",
    b"null",
    b"[1]",
    b'{"key": "a"}',
    b'{"key": ["a"]}',
    b"\xff\x00",
    WRONG_TYPE,
    b'{"v":2,"crc":"',
    b"\0" * 9999,
]


@pytest.mark.parametrize("line", FOREIGN)
def test_foreign_lines_are_counted_and_harm_nothing(tmp_path, line):
    (tmp_path / "foreign.jsonl").write_bytes(line + b"\n")
    filled(tmp_path, "run", stored("a"))
    later = find(tmp_path, ["a"])
    assert (set(later), later.unreadable) == ({"a"}, 1)


def test_a_corrupt_segment_amid_others_costs_only_its_own_records(tmp_path):
    for run in "abc":
        filled(tmp_path, run, stored(run))
    (tmp_path / "b-0-0.jsonl").write_bytes(os.urandom(5000).replace(b"\n", b"") + b"\n")
    later = find(tmp_path, "abc")
    assert (set(later), later.unreadable) == ({"a", "c"}, 1)


def test_a_version_of_the_future_is_an_error_that_says_where(tmp_path):
    filled(tmp_path, "run", stored("a"))
    (tmp_path / "new.jsonl").write_bytes(b'{"v":3,"key":"a"}\n')
    with pytest.raises(AzdistillError, match=r"new\.jsonl'.* byte 0 has version 3.*; update azdistill"):
        find(tmp_path, ["a"])


def test_a_field_of_the_future_is_passed_over(tmp_path):
    fields = orjson.loads(encode(stored("a"))) | {"mood": "good"}
    rest = b'",' + orjson.dumps({name: value for name, value in fields.items() if name not in ("v", "crc")})[1:]
    (tmp_path / "a.jsonl").write_bytes(b'{"v":2,"crc":"%08x%b\n' % (crc32(rest), rest))
    assert find(tmp_path, ["a"]).stored("a") == stored("a")


@pytest.mark.parametrize("name_is_taken", [False, True])
def test_what_was_found_is_read_after_another_process_moved_it(tmp_path, name_is_taken):
    segment = filled(tmp_path, "run", stored("a"), stored("b"))
    found = find(tmp_path, ["a", "b"])
    segment.rename(tmp_path / "moved.jsonl")
    if name_is_taken:
        filled(tmp_path, "run", stored("x"))
    assert found == {"a": stored("a").outcome, "b": stored("b").outcome}


def test_a_record_that_vanishes_is_an_error_not_a_question_to_pay_again(tmp_path):
    segment = filled(tmp_path, "run", stored("a"))
    found = find(tmp_path, ["a"])
    segment.unlink()
    with pytest.raises(AzdistillError, match="record of key 'a' disappeared after it was indexed"):
        found["a"]


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
    later = find(tmp_path, {f"{rank}-{number}" for rank in range(4) for number in range(20)})
    assert (len(later), later.unreadable, len(segments(tmp_path))) == (80, 0, 4)


def test_the_run_and_the_rank_name_the_segments(tmp_path):
    store = open_store(tmp_path, {"AZUREML_RUN_ID": "brave/run-1", "RANK": "3"})
    store.put(stored("a"), lambda: None)
    store.close()
    assert segments(tmp_path) == ["brave_run_1-3-0.jsonl"]
    assert open_store(tmp_path, {}).prefix == f"local{os.getpid()}-0"


def test_a_folder_that_can_not_be_written_is_one_message_before_anything_is_bought(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AzdistillError, match="cannot be written"):
        ResponseStore(tmp_path / "file", "run").check_writable()
    ResponseStore(tmp_path / "new", "run").check_writable()
    assert segments(tmp_path / "new") == []


def test_a_store_that_is_not_there_yet_is_empty(tmp_path):
    assert find(tmp_path / "new", {"a"}) == {}
    assert not (tmp_path / "new").exists()


def test_a_store_that_can_not_be_read_is_not_taken_for_an_empty_one(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AzdistillError, match="cannot be read"):
        find(tmp_path / "file", {"a"})
    (tmp_path / "store/folder.jsonl").mkdir(parents=True)
    with pytest.raises(AzdistillError, match=r"cannot be read \(Is a directory: '.*folder\.jsonl'\)"):
        find(tmp_path / "store", {"a"})


NOBODY = """
import asyncio, os, sys
from pathlib import Path
from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store import ResponseStore
os.chdir(sys.argv[1])
folder = Path("store")
folder.chmod(int(sys.argv[2], 8))
if os.geteuid() == 0:  # to whom nothing is forbidden
    os.seteuid(65534)
store = ResponseStore(folder, "run")
try:
    print([key for key in "ab" if key in store.index()])
    store.check_writable()
except AzdistillError as problem:
    print(problem)
"""


@pytest.mark.parametrize(("mode", "found", "said"), [("0555", "['a']\n", "written"), ("0000", "", "read")])
def test_what_is_forbidden_is_said_and_reading_writes_nothing(tmp_path, mode, found, said):
    tmp_path.chmod(0o755)
    segment = filled(tmp_path / "store", "run", stored("a"))
    segment.chmod(0o644)
    done = run_python(NOBODY, tmp_path, mode)
    (tmp_path / "store").chmod(0o755)
    assert done.startswith(f"{found}store 'store': cannot be {said} (Permission denied")


FULL = """
import asyncio, resource, sys
from pathlib import Path
from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store import ResponseStore
from tests.teacher.stores import fill, stored
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
store, durable = ResponseStore(Path(sys.argv[1]), "run", window_s=0.001), []

async def work():
    committing = asyncio.create_task(store.commit_forever())
    for number in range(2000):
        store.put(stored(f"{number:05}"), lambda number=number: durable.append(number))
        await asyncio.sleep(0.001)
        if committing.done():
            raise committing.exception()

try:
    asyncio.run(work())
except AzdistillError as problem:
    print(len(durable), problem, sep="\\n")
store.close()
"""


def test_a_full_disk_ends_in_one_message_and_all_that_was_durable_is_there(tmp_path):
    durable, problem = run_python(FULL, tmp_path).splitlines()
    assert problem == (
        f"store '{tmp_path}': cannot be written (File too large); make room or use another folder, "
        "then run again; stored answers are not bought again"
    )
    later = find(tmp_path, [f"{number:05}" for number in range(2000)])
    # What the full file refused was tried once more when the store was closed, in a file that had room.
    assert len(later) > int(durable) > 50
    assert later.unreadable <= 1


def test_fifty_thousand_answers_are_found_in_little_memory_and_time(tmp_path):
    from benchmarks.teacher_store import key, look, seed

    seed(tmp_path, 50_000)
    assert look("all", tmp_path, 50_000)["seconds"] < 5
    assert find(tmp_path, [key(49_999)]).stored(key(49_999)).teacher == "DeepSeek-V3.2"


def test_an_index_takes_little_memory_for_a_key(tmp_path):
    import tracemalloc

    keys = [f"{number:064}" for number in range(20_000)]
    store = ResponseStore(tmp_path, "run")
    fill(store, *(stored(key, "word " * 100) for key in keys))
    tracemalloc.start()
    index = store.index()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(index) == 20_000
    assert size / 20_000 < 160
