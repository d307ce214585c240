"""Files of log probabilities: values are read as written, rounded to float16, and files are complete or absent."""

import json
import math
import random

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from azdistill.contracts.errors import DataError
from azdistill.teacher.logprobs_writer import LogprobsWriter, TokenLogprobs
from azdistill.training.teacher_logprobs import TeacherLogprobs

WORDS = [b" the", b" an", b"\xf0\x9f", b"\x99\x82", b"", b"\n", "größe".encode(), *(b" w%d" % n for n in range(40))]


def key(number):
    return f"{number:064x}"


def random_row(seed, top):
    """A completion of 1 to 40 tokens, each with up to `top` likely tokens, from almost certain to almost impossible."""
    rng = random.Random(seed)
    length = rng.randint(1, 40)
    tops = [[(word, -math.exp(rng.uniform(-20, 9))) for word in _some(rng, top)] for _ in range(length)]
    chosen = [-math.inf if rng.random() < 0.1 else -math.exp(rng.uniform(-20, 9)) for _ in range(length)]
    return TokenLogprobs(rng.choices(WORDS, k=length), chosen, tops)


def _some(rng, top):
    return rng.sample(WORDS, rng.randint(0, top))


def write(folder, rows, top, **options):
    with LogprobsWriter(folder, top, **options) as writer:
        for number, positions in enumerate(rows):
            writer.add(key(number), positions)
    return writer.written


def close_to(values, exact):
    """Equal up to rounding to 11 bits, and to 2**-25 close to 0."""
    return np.allclose(np.asarray(values, np.float64), exact, rtol=2**-11, atol=2**-25)


@pytest.mark.parametrize("top", [1, 5, 20])
def test_written_values_are_read_rounded_to_float16(tmp_path, top):
    rows = [random_row(seed, top) for seed in range(30)]
    written = write(tmp_path, rows, top, shard_bytes=4000)
    assert len(list(tmp_path.glob("logprobs-*.safetensors"))) > 1
    read = TeacherLogprobs(tmp_path)
    assert list(read) == [key(number) for number in range(30)]
    for number, row in enumerate(rows):
        answer = read[key(number)]
        assert [answer.table[token] for token in answer.ids] == row.tokens
        assert close_to(answer.logprobs, row.logprobs)
        assert answer.top_ids.shape == answer.top_logprobs.shape == (len(row.tokens), top)
        for ids, logprobs, tops in zip(answer.top_ids, answer.top_logprobs, row.top_logprobs, strict=True):
            count = len(tops)
            assert [answer.table[token] for token in ids[:count]] == [token for token, _ in tops]
            assert close_to(logprobs[:count], [logprob for _, logprob in tops])
            assert set(ids[count:].tolist()) <= {-1}
            assert set(logprobs[count:].tolist()) <= {-math.inf}
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert (written.rows, written.tokens, written.bytes) == (30, sum(len(row.tokens) for row in rows), size)


def test_only_the_likeliest_tokens_are_kept(tmp_path):
    tops = [(b"a", -2.0), (b"b", -0.5), (b"c", -4.0), (b"d", -1.0)]
    write(tmp_path, [TokenLogprobs([b"a"], [-2.0], [tops])], 2)
    answer = TeacherLogprobs(tmp_path)[key(0)]
    assert [answer.table[token] for token in answer.top_ids[0]] == [b"b", b"d"]


def test_a_shard_is_a_safetensors_file_of_36_bytes_per_token(tmp_path):
    """Five likely tokens take 36 bytes a token: ids of 4, log probabilities of 2, for it and each of the five."""
    tops = [(word, -1.6) for word in WORDS[:5]]
    written = write(tmp_path, [TokenLogprobs(WORDS[:5] * 1000, [-1.6] * 5000, [tops] * 5000)], 5)
    assert written.bytes_per_token == pytest.approx(36, abs=0.3)
    with safe_open(tmp_path / "logprobs-00000.safetensors", framework="np") as shard:
        assert shard.metadata() == {"format": "azdistill-logprobs 1"}
        shapes = {name: (shard.get_tensor(name).dtype.name, shard.get_tensor(name).shape) for name in shard.keys()}  # noqa: SIM118
    assert shapes == {
        "ids": ("int32", (5000,)),
        "logprobs": ("float16", (5000,)),
        "row_ends": ("int64", (1,)),
        "row_keys": ("uint8", (1, 32)),
        "token_bytes": ("uint8", (sum(map(len, WORDS[:5])),)),
        "token_ends": ("int64", (5,)),
        "top_ids": ("int32", (5000, 5)),
        "top_logprobs": ("float16", (5000, 5)),
    }


def test_the_same_answers_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        write(tmp_path / name, [random_row(seed, 3) for seed in range(5)], 3)
    one, other = ((tmp_path / name / "logprobs-00000.safetensors").read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_writer_that_fails_keeps_the_existing_files(tmp_path):
    write(tmp_path, [random_row(1, 2)], 2)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, (random_row(1 // number, 2) for number in (2, 1, 0)), 2, shard_bytes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["logprobs-00000.safetensors"]
    assert list(TeacherLogprobs(tmp_path)) == [key(0)]


def test_a_writer_replaces_all_existing_files(tmp_path):
    write(tmp_path, [random_row(seed, 2) for seed in range(9)], 2, shard_bytes=1)
    (tmp_path / ".logprobs-00007.safetensors").write_bytes(b"of a killed writer")
    write(tmp_path, [random_row(1, 2)], 2)
    assert [path.name for path in tmp_path.iterdir()] == ["logprobs-00000.safetensors"]
    write(tmp_path, [], 2)
    assert (list(tmp_path.iterdir()), dict(TeacherLogprobs(tmp_path))) == ([], {})


def test_a_file_of_another_format_is_an_error(tmp_path):
    path = tmp_path / "logprobs-00000.safetensors"
    save_file({"ids": np.zeros(1)}, path, {"format": "azdistill-logprobs 2"})
    with pytest.raises(DataError, match="format 'azdistill-logprobs 2': must be 'azdistill-logprobs 1'"):
        TeacherLogprobs(tmp_path)
    path.write_text(json.dumps({}))
    with pytest.raises(DataError, match=r"can't be read .*; run the teacher step again"):
        TeacherLogprobs(tmp_path)
