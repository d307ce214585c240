"""Content that a file of state can have after a fault: a crash, a full disk, a tool that edited it."""

# By name. None of them is a document that azdistill writes.
CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "an object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"text"',
    "cut": b'{"step": "train", "state": "completed", "files": {"a": "',
    "zeros": bytes(512),
    "other bytes": b"\x89PNG\r\n\xff\xfe\x00",
    "UTF-16": '{"step": "train"}'.encode("utf-16"),
    "half a surrogate": b'{"step": "\\ud800", "state": "\\udfff"}',
    "a number of 5,000 digits": b"1" * 5000,
    "100,000 brackets": b"[" * 100_000,
    "100,000 objects": b'{"key":' * 100_000,
    "wrong types": b'{"step": 1, "state": 2, "files": [3], "counts": "x", "key": [], "models": 5, "decision": {}, '
    b'"gates": {"a": 1}, "register": "perhaps", "inputs_hash": 7, "exit_code": [], "seconds": "now", "outputs": 4}',
    "huge numbers": b'{"step": 1e999, "state": 1e400, "files": {"a": 99999999999999999999999999}, "seconds": -1e999}',
    "not a number": b'{"step": NaN, "seconds": NaN, "files": Infinity}',
}
