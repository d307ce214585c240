"""The store: durable answers, torn and foreign lines are skipped, one writer per segment."""

import dataclasses
import json
import os
import re
import threading
from zlib import crc32

import orjson
import pytest

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.replies import Answer, RowRejected
from azdistill.teacher.store import ResponseStore, open_store
from azdistill.teacher.store.records import decode, encode
from tests.job_variables import job_variables
from tests.teacher.stores import fill, filled, find, refused, run_python, segments, stored


def test_an_answer_is_on_disk_when_it_is_reported_as_durable(tmp_path):
    store = ResponseStore(tmp_path, "run")
    odd = 'no\nline ends \u2028 inside, a quote " and 🙂'
    fill(store, stored("a"), stored("b", odd), close=False)
    assert find(tmp_path, ["a", "b", "c"]) == {"a": stored("a").outcome, "b": stored("b", odd).outcome}
    store.close()


def test_pending_answers_are_written_on_close(tmp_path):
    store = ResponseStore(tmp_path, "run")
    store.put(stored("a"), lambda: None)
    store.close()
    assert "a" in find(tmp_path, ["a"])


def test_a_record_that_cannot_be_encoded_loses_no_other(tmp_path):
    store = ResponseStore(tmp_path, "run")
    for key, text in (("a", "yes"), ("b", "\udfff"), ("c", "yes")):
        store.put(stored(key, text), lambda: None)
    with pytest.raises(TypeError):
        store.close()
    assert find(tmp_path, ["a", "b", "c"]).keys() == {"a", "c"}


def test_a_record_is_read_back_unchanged(tmp_path):
    filled(tmp_path, "run", stored("a"), refused("b"))
    outcomes = find(tmp_path, ["b", "a"])
    assert list(outcomes) == ["b", "a"]
    assert [outcomes.stored(key) for key in outcomes] == [refused("b"), stored("a")]
    with pytest.raises(KeyError):
        outcomes["c"]


def test_log_probabilities_are_read_back_unchanged(tmp_path):
    logprobs = [b'[{"token":"\xc3\xbc \n}","logprob":-0.2500}]' * 2000, os.urandom(50), None]
    records = [
        dataclasses.replace(stored(f"k{n}"), outcome=Answer("yes", "stop", 3, 1, None, raw))
        for n, raw in enumerate(logprobs)
    ]
    segment = filled(tmp_path, "run", *records)
    outcomes = find(tmp_path, ["k0", "k1", "k2"])
    assert [outcomes.stored(key) for key in outcomes] == records
    assert segment.stat().st_size < 3000
    torn = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(torn[0][:700] + torn[1] + torn[2])
    later = find(tmp_path, ["k0", "k1", "k2"])
    assert (later, later.unreadable) == ({"k1": records[1].outcome, "k2": records[2].outcome}, 1)


def test_a_record_can_be_read_without_its_log_probabilities():
    outcome = Answer("yes", "stop", 3, 1, None, b"[1]")
    record = dataclasses.replace(stored("a"), outcome=outcome)
    assert decode(encode(record), logprobs=False) == stored("a")


def test_a_refusal_is_read_with_its_reason_and_an_answer_has_priority(tmp_path):
    filled(tmp_path, "run", refused("a"), refused("b"), stored("b", when=1_764_000_999_000))
    assert find(tmp_path, ["a", "b"]) == {"a": RowRejected("content_filter", "HTTP 400: no"), "b": stored("b").outcome}


def test_the_earliest_of_several_answers_counts_in_any_segment(tmp_path):
    filled(tmp_path, "a", stored("k", "second", when=1_764_000_000_002))
    filled(tmp_path, "b", stored("k", "first", when=1_764_000_000_001), stored("k", "third", when=1_764_000_000_003))
    assert find(tmp_path, ["k"])["k"].completion == "first"


def test_a_line_is_json_that_starts_with_version_and_checksum(tmp_path):
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


def test_a_segment_cut_anywhere_keeps_every_complete_record(tmp_path):
    """Also within a multi-byte character. A record without only its newline is complete."""
    segment = filled(tmp_path, "run", stored("a"), stored("b", "größer 🙂"))
    content = segment.read_bytes()
    first = content.index(b"\n") + 1
    for end in range(first, len(content)):
        segment.write_bytes(content[:end])
        outcomes = find(tmp_path, ["a", "b"])
        kept = {"a", "b"} if end == len(content) - 1 else {"a"}
        assert (set(outcomes), outcomes.unreadable) == (kept, int(first < end < len(content) - 1)), end


@pytest.mark.parametrize(
    ("cut", "readable"), [(1, {"a", "b", "c"}), (2, {"a", "c"}), (40, {"a", "c"}), (150, {"a", "c"})]
)
def test_records_appended_after_a_torn_line_are_read(tmp_path, cut, readable):
    torn = filled(tmp_path / "one", "run", stored("a"), stored("b")).read_bytes()[:-cut]
    content = filled(tmp_path / "two", "run", stored("c")).read_bytes()
    (tmp_path / "joined.jsonl").write_bytes(torn + content)
    later = find(tmp_path, ["a", "b", "c"])
    assert {key: later.stored(key) for key in later} == {key: stored(key) for key in readable}
    assert later.unreadable == (cut > 1)


def test_a_torn_tail_is_never_appended_to(tmp_path):
    segment = filled(tmp_path, "run", stored("a"), stored("b"))
    segment.write_bytes(segment.read_bytes()[:-20])
    fill(ResponseStore(tmp_path, "run"), stored("c"))
    later = find(tmp_path, ["a", "b", "c"])
    assert (set(later), later.unreadable) == ({"a", "c"}, 1)
    assert segments(tmp_path) == ["run-0-0.jsonl", "run-0-1.jsonl"]


def test_a_flipped_bit_is_detected_at_every_byte(tmp_path):
    segment = filled(tmp_path, "run", stored("a"))
    content = segment.read_bytes()
    version_byte = content.index(b"2")
    for position in set(range(len(content) - 1)) - {version_byte}:
        segment.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert "a" not in find(tmp_path, ["a"]), position


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
def test_foreign_lines_are_skipped_and_counted(tmp_path, line):
    (tmp_path / "foreign.jsonl").write_bytes(line + b"\n")
    filled(tmp_path, "run", stored("a"))
    later = find(tmp_path, ["a"])
    assert (set(later), later.unreadable) == ({"a"}, 1)


def test_a_corrupt_segment_loses_only_its_own_records(tmp_path):
    for run in "abc":
        filled(tmp_path, run, stored(run))
    (tmp_path / "b-0-0.jsonl").write_bytes(os.urandom(5000).replace(b"\n", b"") + b"\n")
    later = find(tmp_path, "abc")
    assert (set(later), later.unreadable) == ({"a", "c"}, 1)


def test_another_version_behind_a_readable_record_is_a_damaged_record(tmp_path):
    path = filled(tmp_path, "run", stored("a"), stored("b"))
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b'{"v":2', b'{"v":3'))
    later = find(tmp_path, ["a", "b"])
    assert (set(later), later.unreadable) == ({"a"}, 1)


def test_a_newer_version_is_an_error_with_its_position(tmp_path):
    filled(tmp_path, "run", stored("a"))
    (tmp_path / "new.jsonl").write_bytes(b'{"v":3,"key":"a"}\n')
    with pytest.raises(AzdistillError, match=r"new\.jsonl'.* byte 0 has version 3.*; update azdistill"):
        find(tmp_path, ["a"])


def test_unknown_fields_are_ignored(tmp_path):
    fields = orjson.loads(encode(stored("a"))) | {"mood": "good"}
    rest = b'",' + orjson.dumps({name: value for name, value in fields.items() if name not in ("v", "crc")})[1:]
    (tmp_path / "a.jsonl").write_bytes(b'{"v":2,"crc":"%08x%b\n' % (crc32(rest), rest))
    assert find(tmp_path, ["a"]).stored("a") == stored("a")


@pytest.mark.parametrize("name_is_taken", [False, True])
def test_an_indexed_record_is_read_after_another_process_moved_it(tmp_path, name_is_taken):
    segment = filled(tmp_path, "run", stored("a"), stored("b"))
    outcomes = find(tmp_path, ["a", "b"])
    segment.rename(tmp_path / "moved.jsonl")
    if name_is_taken:
        filled(tmp_path, "run", stored("x"))
    assert outcomes == {"a": stored("a").outcome, "b": stored("b").outcome}


def test_a_record_that_disappears_is_an_error(tmp_path):
    segment = filled(tmp_path, "run", stored("a"))
    outcomes = find(tmp_path, ["a"])
    segment.unlink()
    with pytest.raises(AzdistillError, match="record of key 'a' disappeared after it was indexed"):
        outcomes["a"]


def test_concurrent_writers_have_separate_segments(tmp_path):
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


def test_segments_are_named_by_run_and_rank(tmp_path):
    store = open_store(tmp_path, job_variables("brave/run-1") | {"RANK": "3"})
    store.put(stored("a"), lambda: None)
    store.close()
    (name,) = segments(tmp_path)
    assert re.fullmatch(r"brave_run_1-3-[0-9a-f]{8}-0\.jsonl", name)
    assert open_store(tmp_path, {}).prefix == f"local{os.getpid()}-0"


def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_call(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AzdistillError, match="cannot be written"):
        ResponseStore(tmp_path / "file", "run").check_writable()
    ResponseStore(tmp_path / "new", "run").check_writable()
    assert segments(tmp_path / "new") == []


def test_a_missing_store_is_empty(tmp_path):
    assert find(tmp_path / "new", {"a"}) == {}
    assert not (tmp_path / "new").exists()


def test_a_store_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AzdistillError, match="cannot be read"):
        find(tmp_path / "file", {"a"})
    (tmp_path / "store/folder.jsonl").mkdir(parents=True)
    with pytest.raises(AzdistillError, match=r"cannot be read \(Is a directory: '.*folder\.jsonl'\)"):
        find(tmp_path / "store", {"a"})


UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store import ResponseStore
os.chdir(sys.argv[1])
folder = Path("store")
folder.chmod(int(sys.argv[2], 8))
if os.geteuid() == 0:  # root may do everything, so drop its privileges
    os.seteuid(65534)
store = ResponseStore(folder, "run")
try:
    print([key for key in "ab" if key in store.index()])
    store.check_writable()
except AzdistillError as problem:
    print(problem)
"""


@pytest.mark.parametrize(("mode", "keys", "verb"), [("0555", "['a']\n", "written"), ("0000", "", "read")])
def test_missing_permissions_are_an_error_and_reading_writes_nothing(tmp_path, mode, keys, verb):
    tmp_path.chmod(0o755)
    segment = filled(tmp_path / "store", "run", stored("a"))
    segment.chmod(0o644)
    done = run_python(UNPRIVILEGED, tmp_path, mode)
    (tmp_path / "store").chmod(0o755)
    assert done.startswith(f"{keys}store 'store': cannot be {verb} (Permission denied")


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


def test_a_full_disk_ends_with_one_message_and_durable_answers_are_kept(tmp_path):
    durable, problem = run_python(FULL, tmp_path).splitlines()
    assert problem == (
        f"store '{tmp_path}': cannot be written (File too large); free disk space or use another folder, "
        "then run again; stored answers are not paid for again"
    )
    later = find(tmp_path, [f"{number:05}" for number in range(2000)])
    # Records that did not fit into the full segment were written to a new one when the store was closed.
    assert len(later) > int(durable) > 50
    assert later.unreadable <= 1


def test_fifty_thousand_answers_are_read_in_five_seconds(tmp_path):
    from benchmarks.teacher_store import key, look, seed

    seed(tmp_path, 50_000)
    assert look("all", tmp_path, 50_000)["seconds"] < 5
    assert find(tmp_path, [key(49_999)]).stored(key(49_999)).teacher == "DeepSeek-V3.2"


def test_an_index_needs_less_than_160_bytes_per_key(tmp_path):
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
