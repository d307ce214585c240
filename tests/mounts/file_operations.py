"""File operations on a folder that two mounts show, and what they returned: one JSON object on stdout.

Usage: `python -m tests.mounts.file_operations HERE THERE`. HERE and THERE are two paths of the same folder: on two
mounts as on two nodes, or twice the same folder of a local disk, which gives the results to compare with. Each
operation works in a folder of its own and returns what it read.
"""

import contextlib
import errno
import fcntl
import gzip
import json
import mmap
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Operation = Callable[[Path, Path], object]

# An operation that hangs is reported and the others run. A mount answers most of them in milliseconds.
LONGEST_S = 30
LARGE_BYTES = 32 * 1024 * 1024
MANY_FILES = 100


@dataclass(frozen=True)
class FileOperation:
    """`title` is its row in docs/mounts.md; `used_by` says which of our code relies on the result of a local disk."""

    title: str
    run: Operation
    used_by: str = ""


OPERATIONS: dict[str, FileOperation] = {}


def operation(title: str, used_by: str = "") -> Callable[[Operation], Operation]:
    def register(run: Operation) -> Operation:
        OPERATIONS[run.__name__] = FileOperation(title, run, used_by)
        return run

    return register


STEPS = "every step"


def _names(folder: Path) -> list[str]:
    """Names in the folder, except those of files that were removed before the mount heard that they are closed.

    FUSE reports a close later than it happens, and renames such a file to .fuse_hidden* until then.
    """
    return [name for name in os.listdir(folder) if not name.startswith(".fuse_hidden")]


# Writing
@operation("create a file, write, close, read", STEPS)
def create(here: Path, _: Path) -> object:
    (here / "a").write_bytes(b"hello")
    return (here / "a").read_text()


@operation("append to a file that was closed")
def append(here: Path, _: Path) -> object:
    (here / "a").write_bytes(b"one\n")
    with (here / "a").open("ab") as stream:
        stream.write(b"two\n")
    return (here / "a").read_text()


@operation("write, flush and fsync before the file is closed", "manifests, the response store, log probabilities")
def fsync(here: Path, _: Path) -> object:
    with (here / "a").open("wb") as stream:
        stream.write(b"hello")
        stream.flush()
        os.fsync(stream.fileno())
        stream.write(b" world")
    return (here / "a").read_text()


@operation("fsync of a folder", "the response store, checkpoints")
def fsync_folder(here: Path, _: Path) -> object:
    handle = os.open(here, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return "synced"


@operation("fsync of a closed file that is opened for reading", "checkpoints")
def fsync_closed(here: Path, _: Path) -> object:
    (here / "a").write_text("hello")
    handle = os.open(here / "a", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return (here / "a").read_text()


@operation("create a file only if the name is free (O_EXCL)", "the response store")
def exclusive(here: Path, _: Path) -> object:
    (here / "a").open("xb").close()
    with contextlib.suppress(FileExistsError):
        (here / "a").open("xb").close()
        return "created twice"
    return "refused"


@operation("read what was written before the file is closed")
def read_before_close(here: Path, _: Path) -> object:
    with (here / "a").open("wb", buffering=0) as stream:
        stream.write(b"hello")
        return (here / "a").read_text()


@operation("write and read through one handle (w+b)", "models (safetensors, torch)")
def write_and_read(here: Path, _: Path) -> object:
    with (here / "a").open("w+b") as stream:
        stream.write(b"hello")
        stream.seek(0)
        return stream.read().decode()


@operation("seek and overwrite in the middle while writing", "models (torch)")
def overwrite(here: Path, _: Path) -> object:
    with (here / "a").open("wb") as stream:
        stream.write(b"0123456789")
        stream.seek(3)
        stream.write(b"XY")
    return (here / "a").read_text()


@operation("overwrite in the middle of a closed file (r+b)")
def overwrite_later(here: Path, _: Path) -> object:
    (here / "a").write_bytes(b"0123456789")
    with (here / "a").open("r+b") as stream:
        stream.seek(3)
        stream.write(b"XY")
    return (here / "a").read_text()


@operation("overwrite a file by opening it for writing")
def rewrite(here: Path, _: Path) -> object:
    (here / "a").write_bytes(b"a long first content")
    (here / "a").write_bytes(b"short")
    return (here / "a").read_text()


@operation("write beyond the end of a file (sparse file)")
def sparse(here: Path, _: Path) -> object:
    with (here / "a").open("wb") as stream:
        stream.seek(1000)
        stream.write(b"x")
    return len((here / "a").read_bytes())


@operation("truncate to fewer bytes")
def truncate(here: Path, _: Path) -> object:
    (here / "a").write_bytes(b"0123456789")
    os.truncate(here / "a", 4)
    return (here / "a").read_text()


@operation("truncate to more bytes")
def extend(here: Path, _: Path) -> object:
    (here / "a").write_bytes(b"0123")
    os.truncate(here / "a", 10)
    return len((here / "a").read_bytes())


@operation("pwrite and pread at positions")
def positions(here: Path, _: Path) -> object:
    handle = os.open(here / "a", os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(handle, b"hello", 0)
        os.pwrite(handle, b"J", 0)
        return os.pread(handle, 3, 0).decode()
    finally:
        os.close(handle)


@operation("an empty file", STEPS)
def empty_file(here: Path, there: Path) -> object:
    (here / "a").touch()
    return (there / "a").stat().st_size


@operation(f"a file of {LARGE_BYTES // 1024**2} MB", "models, checkpoints")
def large_file(here: Path, there: Path) -> object:
    block = os.urandom(1024 * 1024)
    with (here / "a").open("wb") as stream:
        for _ in range(LARGE_BYTES // len(block)):
            stream.write(block)
    with (there / "a").open("rb") as stream:
        return sum(stream.read(len(block)) == block for _ in range(LARGE_BYTES // len(block)))


@operation(f"{MANY_FILES} small files in one folder", "the response store")
def many_files(here: Path, there: Path) -> object:
    for number in range(MANY_FILES):
        (here / f"{number:05}").write_text(str(number))
    return sorted(path.read_text() == str(int(path.name)) for path in there.iterdir()).count(True)


# Names and folders
@operation("names of 200 bytes")
def long_name(here: Path, there: Path) -> object:
    (here / ("n" * 200)).write_text("x")
    return [len(name) for name in _names(there)]


@operation("names with accents, Chinese and emoji")
def unicode_names(here: Path, there: Path) -> object:
    for name in ("é", "模型", "🙂"):
        (here / name).write_text(name)
    return [(there / name).read_text() for name in sorted(_names(there))]


@operation("names with spaces, %, #, ? and +")
def special_names(here: Path, there: Path) -> object:
    for name in ("a b", "50%25", "a#b", "a?b", "a+b&c=d"):
        (here / name).write_text(name)
    return [(there / name).read_text() for name in sorted(_names(there))]


@operation("names that start with a dot", "files before they are renamed")
def hidden_name(here: Path, there: Path) -> object:
    (here / ".a").write_text("x")
    return _names(there)


@operation("names that differ in case")
def case(here: Path, there: Path) -> object:
    (here / "a").write_text("lower")
    (here / "A").write_text("upper")
    return [(there / name).read_text() for name in ("a", "A")]


@operation("mkdir with parents, 8 levels deep", STEPS)
def nested(here: Path, there: Path) -> object:
    path = Path("/".join("abcdefgh"))
    (here / path).mkdir(parents=True)
    (here / path / "x").write_text("x")
    return (there / path / "x").read_text()


@operation("an empty folder seen from another node")
def empty_folder(here: Path, there: Path) -> object:
    (here / "d").mkdir()
    return [(there / "d").is_dir(), _names(there / "d")]


@operation("rmdir of an empty folder, and its refusal for one with files", "checkpoints")
def rmdir(here: Path, _: Path) -> object:
    (here / "empty").mkdir()
    (here / "empty").rmdir()
    (here / "full").mkdir()
    (here / "full" / "x").write_text("x")
    try:
        (here / "full").rmdir()
    except OSError as error:
        return [errno.errorcode[error.errno or 0], _names(here)]
    return "removed with its file"


@operation("rmtree of a folder with files and folders", "checkpoints")
def rmtree(here: Path, there: Path) -> object:
    (here / "d" / "e").mkdir(parents=True)
    (here / "d" / "x").write_text("x")
    (here / "d" / "e" / "y").write_text("y")
    shutil.rmtree(here / "d")
    return [(here / "d").exists(), (there / "d").exists()]


@operation("create a folder again after rmtree", "checkpoints")
def folder_again(here: Path, there: Path) -> object:
    for content in ("first", "second"):
        (here / "d").mkdir()
        (here / "d" / content).write_text(content)
        if content == "first":
            shutil.rmtree(here / "d")
    return _names(there / "d")


@operation("list a folder, with types", STEPS)
def listing(here: Path, _: Path) -> object:
    (here / "d").mkdir()
    (here / "f").write_text("x")
    with os.scandir(here) as entries:
        return sorted((entry.name, entry.is_dir(), entry.is_file()) for entry in entries)


@operation("glob, also in subfolders", STEPS)
def globbing(here: Path, _: Path) -> object:
    (here / "d").mkdir()
    for name in ("a.json", "b.txt", "d/c.json"):
        (here / name).write_text("x")
    return sorted(str(path.relative_to(here)) for path in here.rglob("*.json"))


@operation("copy a folder (copytree)", "the student's model")
def copytree(here: Path, there: Path) -> object:
    (here / "d" / "e").mkdir(parents=True)
    (here / "d" / "e" / "x").write_text("x")
    shutil.copytree(here / "d", here / "copy")
    return (there / "copy" / "e" / "x").read_text()


@operation("move a file from the local disk into the folder")
def move_in(here: Path, there: Path) -> object:
    with tempfile.TemporaryDirectory() as local:
        (Path(local) / "a").write_text("x")
        shutil.move(Path(local) / "a", here / "a")
    return (there / "a").read_text()


# Renaming
@operation("rename to a free name", "the response store")
def rename(here: Path, there: Path) -> object:
    (here / "a").write_text("x")
    (here / "a").rename(here / "b")
    return [_names(here), (there / "b").read_text()]


@operation("rename over a file (os.replace)", "manifests and all JSON files")
def replace(here: Path, there: Path) -> object:
    (here / "a").write_text("new")
    (here / "b").write_text("an old content")
    os.replace(here / "a", here / "b")
    return [_names(here), (there / "b").read_text()]


@operation("rename into another folder")
def rename_across(here: Path, there: Path) -> object:
    (here / "d").mkdir()
    (here / "a").write_text("x")
    os.replace(here / "a", here / "d" / "a")
    return [(there / "d" / "a").read_text(), (there / "a").exists()]


@operation("rename a folder with files", "checkpoints")
def rename_folder(here: Path, there: Path) -> object:
    (here / "d").mkdir()
    (here / "d" / "x").write_text("x")
    (here / "d").rename(here / "e")
    return [_names(here), (there / "e" / "x").read_text()]


@operation("rename a file to its own name, which changes nothing")
def rename_itself(here: Path, there: Path) -> object:
    (here / "a").write_text("x")
    (here / "a").rename(here / "a")
    return [_read(here / "a"), _read(there / "a")]


@operation("rename a folder over an empty one")
def rename_folder_over(here: Path, there: Path) -> object:
    (here / "d").mkdir()
    (here / "d" / "x").write_text("x")
    (here / "e").mkdir()
    (here / "d").rename(here / "e")
    return [_names(here), _read(here / "e" / "x"), _read(there / "e" / "x")]


@operation("rename a file while it is open for writing")
def rename_open(here: Path, there: Path) -> object:
    with (here / "a").open("wb") as stream:
        stream.write(b"hello")
        stream.flush()
        (here / "a").rename(here / "b")
        stream.write(b" world")
    return [_names(there), (there / "b").read_text()]


@operation("read a file that is replaced while it is open")
def replaced_while_open(here: Path, _: Path) -> object:
    (here / "a").write_text("old")
    with (here / "a").open() as stream:
        (here / "b").write_text("new")
        os.replace(here / "b", here / "a")
        return [stream.read(), (here / "a").read_text()]


@operation("mkstemp, write, fsync, chmod, replace: how azdistill writes a JSON file", "manifests and all JSON files")
def write_aside(here: Path, there: Path) -> object:
    handle, partial = tempfile.mkstemp(dir=here, prefix=".a.")
    with os.fdopen(handle, "w") as stream:
        stream.write("{}")
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(partial, 0o644)
    os.replace(partial, here / "a")
    return [_names(there), (there / "a").read_text()]


# Deleting
@operation("delete a file", STEPS)
def unlink(here: Path, there: Path) -> object:
    (here / "a").write_text("x")
    (here / "a").unlink()
    return [(here / "a").exists(), (there / "a").exists()]


@operation("read a file that is deleted while it is open")
def deleted_while_open(here: Path, _: Path) -> object:
    (here / "a").write_text("still here")
    with (here / "a").open() as stream:
        (here / "a").unlink()
        return stream.read()


@operation("tempfile.TemporaryFile in the folder, which leaves nothing")
def temporary_file(here: Path, _: Path) -> object:
    with tempfile.TemporaryFile(dir=here) as stream:
        stream.write(b"x")
        stream.seek(0)
        content = stream.read().decode()
    return [content, len(_names(here))]


@operation("tempfile.NamedTemporaryFile in the folder", "the response store")
def named_temporary_file(here: Path, _: Path) -> object:
    with tempfile.NamedTemporaryFile(dir=here) as stream:
        stream.write(b"x")
        stream.flush()
        count = len(_names(here))
    return [count, _names(here)]


@operation("tempfile.TemporaryDirectory in the folder")
def temporary_directory(here: Path, _: Path) -> object:
    with tempfile.TemporaryDirectory(dir=here) as folder:
        (Path(folder) / "x").write_text("x")
    return _names(here)


# Attributes
@operation("size after writing", STEPS)
def size(here: Path, there: Path) -> object:
    (here / "a").write_bytes(b"12345")
    return [(here / "a").stat().st_size, (there / "a").stat().st_size]


@operation("modification time of a new file is now")
def mtime(here: Path, there: Path) -> object:
    (here / "a").write_text("x")
    now = time.time()
    return [abs((here / "a").stat().st_mtime - now) < 5, abs((there / "a").stat().st_mtime - now) < 5]


@operation("set the modification time (utime)")
def utime(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    os.utime(here / "a", (1_000_000_000, 1_000_000_000))
    return (here / "a").stat().st_mtime == 1_000_000_000


@operation("chmod does not fail", "manifests and all JSON files")
def chmod(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    (here / "a").chmod(0o644)
    return "no error"


@operation("chmod has an effect")
def mode(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    (here / "a").chmod(0o640)
    return oct((here / "a").stat().st_mode & 0o777)


@operation("chown to the own user")
def chown(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    os.chown(here / "a", os.getuid(), os.getgid())
    return "no error"


@operation("run a script of the folder")
def execute(here: Path, _: Path) -> object:
    (here / "a.sh").write_text("#!/bin/sh\necho ran\n")
    (here / "a.sh").chmod(0o755)
    return subprocess.run([here / "a.sh"], capture_output=True, text=True, check=True).stdout


@operation("extended attributes")
def attributes(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    os.setxattr(here / "a", "user.color", b"red")
    return os.getxattr(here / "a", "user.color").decode()


@operation("free space (statvfs)")
def free_space(here: Path, _: Path) -> object:
    return shutil.disk_usage(here).free > 0


@operation("symbolic links")
def symlink(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    (here / "b").symlink_to("a")
    return [os.readlink(here / "b"), (here / "b").read_text()]


@operation("hard links")
def hardlink(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    os.link(here / "a", here / "b")
    return (here / "b").read_text()


@operation("realpath, samefile")
def same_file(here: Path, _: Path) -> object:
    (here / "a").write_text("x")
    return [os.path.samefile(here / "a", here / "." / "a"), Path(os.path.realpath(here / "a")).name]


# Locks
LOCKED = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'rb'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def _locked(path: Path) -> bool:
    """True if another process cannot lock the file."""
    return subprocess.run([sys.executable, "-c", LOCKED, path], capture_output=True, check=False).returncode != 0


@operation("flock, and its refusal on the same node", "compaction of the response store")
def flock(here: Path, _: Path) -> object:
    with (here / "a").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        return _locked(here / "a")


@operation("flock seen from another node")
def flock_elsewhere(here: Path, there: Path) -> object:
    (here / "a").write_text("x")
    with (here / "a").open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        return _locked(there / "a")


@operation("POSIX locks (lockf)")
def lockf(here: Path, _: Path) -> object:
    with (here / "a").open("wb") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return "locked"


# Libraries
@operation("read through mmap", "models (safetensors)")
def mmap_read(here: Path, there: Path) -> object:
    (here / "a").write_bytes(b"x" * 10_000 + b"y")
    with (
        (there / "a").open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as view,
    ):
        return view[9_999:].decode()


@operation("write through a shared mmap")
def mmap_write(here: Path, _: Path) -> object:
    (here / "a").write_bytes(b"x" * 10_000)
    with (here / "a").open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as view:
        view[0:1] = b"y"
        view.flush()
    return (here / "a").read_bytes()[:2].decode()


@operation("save and load a safetensors file", "models")
def safetensors(here: Path, there: Path) -> object:
    import numpy
    from safetensors import safe_open
    from safetensors.numpy import save_file

    save_file({"weight": numpy.arange(10_000, dtype=numpy.float32)}, here / "model.safetensors")
    with safe_open(there / "model.safetensors", framework="numpy") as tensors:
        return float(tensors.get_tensor("weight").sum())


@operation("write and read a zip archive", "checkpoints (torch)")
def archive(here: Path, there: Path) -> object:
    with zipfile.ZipFile(here / "a.zip", "w") as target:
        target.writestr("x", "hello")
        target.writestr("y", "world")
    with zipfile.ZipFile(there / "a.zip") as source:
        return source.read("y").decode()


@operation("write and read a gzip file", "data")
def compressed(here: Path, there: Path) -> object:
    with gzip.open(here / "a.gz", "wt") as target:
        target.write("hello")
    with gzip.open(there / "a.gz", "rt") as source:
        return source.read()


@operation("an SQLite database")
def database(here: Path, _: Path) -> object:
    with contextlib.closing(sqlite3.connect(here / "a.db", timeout=2)) as connection:
        connection.execute("create table t (x)")
        connection.execute("insert into t values (1)")
        connection.commit()
        return connection.execute("select x from t").fetchall()


@operation("eight threads that read one file", "training data")
def threads(here: Path, there: Path) -> object:
    content, results = os.urandom(1_000_000), list[bool]()
    (here / "a").write_bytes(content)
    readers = [
        threading.Thread(target=lambda: results.append((there / "a").read_bytes() == content)) for _ in "12345678"
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return results


# Seen from another node
def _eventually(see: Callable[[], object], expected: object, seconds: float = 5.0) -> object:
    """The value of `see` once it is `expected`, else its last value: a mount caches attributes for a short time."""
    end = time.monotonic() + seconds
    while (value := see()) != expected and time.monotonic() < end:
        time.sleep(0.2)
    return value


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return "no such file"


@operation("another node sees a file once it is closed", STEPS)
def appears(here: Path, there: Path) -> object:
    before = _read(there / "a")
    (here / "a").write_text("hello")
    return [before, _read(there / "a")]


@operation("another node sees a file once it is renamed", "the response store, ranks")
def appears_renamed(here: Path, there: Path) -> object:
    (here / ".a").write_text("hello")
    before = _read(there / "a")
    (here / ".a").rename(here / "a")
    return [before, _read(there / "a")]


@operation("another node sees the new content of a file that it has read, at once")
def replaced_elsewhere(here: Path, there: Path) -> object:
    (here / "a").write_text("old")
    before = _read(there / "a")
    (here / "b").write_text("the new content")
    os.replace(here / "b", here / "a")
    return [before, _read(there / "a")]


@operation("another node sees the new content of a file that it has read, after 5 s")
def replaced_elsewhere_later(here: Path, there: Path) -> object:
    replaced_elsewhere(here, there)
    return _eventually(lambda: _read(there / "a"), "the new content")


@operation("another node that opened a file while it was written sees all of it after it is closed")
def opened_while_written(here: Path, there: Path) -> object:
    with (here / "a").open("wb") as stream:
        stream.write(b"hello")
        stream.flush()
        os.fsync(stream.fileno())
        _read(there / "a")
        stream.write(b" world")
    return _eventually(lambda: _read(there / "a"), "hello world")


@operation("another node sees what was synced, before the file is closed")
def synced_elsewhere(here: Path, there: Path) -> object:
    with (here / "a").open("wb") as stream:
        stream.write(b"hello")
        stream.flush()
        os.fsync(stream.fileno())
        return _read(there / "a")


WRITER = """
import sys, time
stream = open(sys.argv[1], "wb", 0)
stream.write(b"half")
print("ready", flush=True)
time.sleep(60)
"""


@operation("a file whose writer was killed shows nothing that the writer did not close")
def killed_writer(here: Path, there: Path) -> object:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, here / "a"], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.communicate()
    time.sleep(1)
    return _read(there / "a")


@operation("another node sees that a file was deleted, at once")
def deleted_elsewhere(here: Path, there: Path) -> object:
    (here / "a").write_text("x")
    _read(there / "a")
    (here / "a").unlink()
    return _read(there / "a")


@operation("another node lists a new file, at once", "the response store, ranks")
def listed_elsewhere(here: Path, there: Path) -> object:
    before = _names(there)
    (here / "a").write_text("x")
    return [before, _names(there)]


@operation("two nodes create files in one folder", "the response store, ranks")
def both_write(here: Path, there: Path) -> object:
    (here / "a").write_text("here")
    (there / "b").write_text("there")
    return [_read(there / "a"), _read(here / "b"), sorted(_names(here)), sorted(_names(there))]


@operation("create a file only if no other node has (O_EXCL)")
def exclusive_elsewhere(here: Path, there: Path) -> object:
    _names(there)
    (here / "a").write_text("x")
    try:
        (there / "a").open("xb").close()
    except FileExistsError:
        return "refused"
    return "created twice"


def run_all(here: Path, there: Path) -> dict[str, Any]:
    """Name of each operation -> {"value": ...} or {"error": ...}."""
    return {name: _run(entry.run, here / name, there / name) for name, entry in OPERATIONS.items()}


def _run(run: Operation, here: Path, there: Path) -> dict[str, Any]:
    try:
        here.mkdir(parents=True)
        with _limited():
            return {"value": run(here, there)}
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno or 0, type(error).__name__)}
    except Exception as error:  # of a library, about its file
        return {"error": type(error).__name__}


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "too slow")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    json.dump(run_all(Path(sys.argv[1]), Path(sys.argv[2])), sys.stdout)
