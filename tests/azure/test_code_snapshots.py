"""Code snapshots have the files that Azure ML's client uploads, and a snapshot that it refuses is an error at its line.

Each tree is given to the functions of the installed client, too: `_build_code` of a component, and
`get_upload_files_from_folder`.
"""

import random
import warnings
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from zipfile import ZipFile

import pytest
from azure.ai.ml._utils._asset_utils import (
    get_directory_size,
    get_ignore_file,
    get_object_hash,
    get_upload_files_from_folder,
    upload_directory,
)
from azure.ai.ml.entities import CommandComponent
from azure.ai.ml.exceptions import EmptyDirectoryError

from azdistill.engine.local.snapshots import stage
from azdistill.engine.pipeline.checks import validate_file
from azdistill.engine.pipeline.snapshots import data_upload, snapshot_of

# Text of a file, `-> target` of a link, or None for an empty folder.
Tree = Mapping[str, str | None]

REFUSED = "refused"
LIB = ("lib",)


def write(root: Path, tree: Tree) -> None:
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.mkdir(exist_ok=True)
        elif text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)


def client_snapshot(root: Path, code: str | None, includes: tuple[str, ...]) -> dict[str, str] | str:
    """Name -> content of what the client uploads; REFUSED where it raises or reports an error."""
    component = CommandComponent(
        name="c",
        command="true",
        code=code,
        additional_includes=list(includes),
        base_path=root,
        environment="azureml:e:1",
    )
    try:
        if component._generate_additional_includes_obj().validate().error_messages:
            return REFUSED
        with component._build_code() as built, warnings.catch_warnings(action="ignore"):
            if built is None:
                return {}
            if Path(built.path).is_file():
                return contents({Path(built.path).name: Path(built.path)})
            files = get_upload_files_from_folder(built.path, ignore_file=built._ignore_file)
            return contents({name: Path(path) for path, name in files}) or REFUSED
    except (OSError, ValueError, RuntimeError):
        return REFUSED


def own_snapshot(root: Path, code: str | None, includes: tuple[str, ...]) -> dict[str, str] | str:
    """The same, as the local engine has it in the folder where a command runs."""
    snapshot = snapshot_of(root / code if code is not None else None, root, [root / name for name in includes])
    if snapshot.refusals:
        return REFUSED
    stage(snapshot, root / "staged")
    names = {*snapshot.files, *snapshot.zips}
    return contents({name: root / "staged" / name for name in names})


def contents(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: _content(path) for name, path in files.items()}


def _content(path: Path) -> str:
    if path.suffix != ".zip":
        return path.read_text()
    with ZipFile(path) as archive, warnings.catch_warnings(action="ignore"):
        return str({name: archive.read(name) for name in archive.namelist()})


CODE: Tree = {"src/a.py": "a", "src/.hidden": "h", "src/empty": None, "src/__pycache__/a.pyc": "c", "shared/x.py": "x"}
TREES: dict[str, tuple[Tree, str | None, tuple[str, ...]]] = {
    "hidden, empty, caches": (CODE, "src", ()),
    ".amlignore before .gitignore": ({**CODE, "src/.amlignore": "*.py", "src/.gitignore": ".hidden"}, "src", ()),
    ".gitignore": ({**CODE, "src/.gitignore": "*.py\n!a.py\n# c\n\n/.hid*", "src/b.py": ""}, "src", ()),
    "a mark of Windows": ({**CODE, "src/.amlignore": "\ufeffa.py\r\n.hidden\r\n"}, "src", ()),
    "ignore file of an inner folder": ({**CODE, "src/in/.amlignore": "b", "src/in/b": ""}, "src", ()),
    "ignore file next to the folder": ({**CODE, ".amlignore": "a.py"}, "src", ()),
    "links": ({**CODE, "src/l": "-> ../shared", "src/x.py": "-> ../shared/x.py"}, "src", ()),
    "an ignored link to a folder": ({**CODE, "src/l": "-> ../shared", "src/.amlignore": "l\nl/"}, "src", ()),
    "a pattern behind a link": ({**CODE, "src/l": "-> ../shared", "src/.amlignore": "x.py"}, "src", ()),
    "a broken link": ({**CODE, "src/l": "-> none"}, "src", ()),
    "an ignored broken link": ({**CODE, "src/l": "-> none", "src/.amlignore": "l"}, "src", ()),
    "a link to itself": ({**CODE, "src/l": "-> l"}, "src", ()),
    "a link to the folder": ({**CODE, "src/l": "-> ."}, "src", ()),
    "an empty folder": ({"src": None}, "src", ()),
    "all ignored": ({"src/.gitignore": "*"}, "src", ()),
    "no pattern": ({**CODE, "src/.amlignore": "a\\"}, "src", ()),
    "linked code": ({**CODE, "l": "-> src", "src/.amlignore": "/a.py"}, "l", ()),
    "a file": (CODE, "src/a.py", ()),
    "a file and a folder": ({**CODE, "lib/b": ""}, "src/a.py", LIB),
    "included": ({**CODE, "lib/b": "b", "lib/in/.gitignore": "c", "lib/in/c": "", "lib/in/d": "d"}, "src", LIB),
    "ignored in the included folder": ({**CODE, "lib/b": "", "src/.amlignore": "/lib/b", "lib/c": ""}, "src", LIB),
    "ignored by the included folder": ({**CODE, "lib/b": "", "lib/.amlignore": "/b", "lib/c": ""}, "src", LIB),
    "an included folder that ignores itself": ({**CODE, "lib/b": "", "lib/.gitignore": ".*"}, "src", LIB),
    "inner ignore files and includes": ({**CODE, "src/in/.gitignore": "c", "src/in/c": "", "lib/b": ""}, "src", LIB),
    "links and includes": (
        {**CODE, "src/l": "-> ../shared", "src/.amlignore": "l", "lib/m": "-> ../shared", "lib/b": ""}, "src", LIB
    ),
    "includes without code": ({"lib/b": "", "lib/c": "", ".gitignore": "/lib/b"}, None, LIB),
    "a linked include": ({**CODE, "real/b": "", "lib": "-> real"}, "src", LIB),
    "an include that code has": ({**CODE, "src/lib/b": "", "lib/c": ""}, "src", LIB),
    "an include that code links to": ({**CODE, "src/lib": "-> ../lib", "lib/c": ""}, "src", LIB),
    "an include that code links to by name": ({**CODE, "src/lib": "-> ../shared", "lib/c": ""}, "src", LIB),
    "an include inside of code": ({"a.py": "", "lib/c": ""}, ".", LIB),
    "two folders of one name": ({**CODE, "lib/b": "1", "o/lib/b": "2", "o/lib/c": ""}, "src", ("lib", "o/lib")),
    "a folder and a file of one name": ({**CODE, "lib/b": "1", "o/lib": "2"}, "src", ("lib", "o/lib")),
    "a file and a folder of one name": ({**CODE, "lib/b": "1", "o/lib": "2"}, "src", ("o/lib", "lib")),
    "a broken link and an include": ({**CODE, "src/l": "-> none", "lib/b": ""}, "src", LIB),
    "a broken link in an include": ({**CODE, "lib/l": "-> none", "lib/b": ""}, "src", LIB),
    "zipped": (
        {**CODE, "lib/b": "b", "lib/c/d": "", "lib/.amlignore": "e", "lib/e": "", "lib/l": "-> ../shared/x.py"},
        "src", ("lib.zip",),
    ),
    "zipped and ignored": ({**CODE, "lib/b": "", "lib/c": "", "src/.amlignore": "/lib/b"}, "src", ("lib.zip",)),
    "a zip": ({**CODE, "lib/b": "", "lib.zip/b": ""}, "src", ("lib.zip",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_a_snapshot_is_that_of_the_client(name: str, tmp_path: Path) -> None:
    tree, code, includes = TREES[name]
    write(tmp_path, tree)
    assert own_snapshot(tmp_path, code, includes) == client_snapshot(tmp_path, code, includes)


NAMES = ("a", "b.py", "c", ".d", "__pycache__", "lib")
PATTERNS = ("a", "*.py", "/c", "c/", "!a", "**/b.py", ".*", "lib/*", "a/c", "!*.py", "# a", "[ab]", "*")


@pytest.mark.parametrize("seed", range(60))
def test_a_random_snapshot_is_that_of_the_client(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    tree: dict[str, str | None] = {"shared/a": "1", "shared/b.py": "2", "shared/c/d": "3"}
    for top in ("src", "lib", "other/lib", "other/a"):
        for _ in range(rng.randint(1, 5)):
            name = "/".join([top, *(rng.choice(NAMES) for _ in range(rng.randint(1, 3)))])
            if not any(f"{other}/".startswith(f"{name}/") or name.startswith(f"{other}/") for other in tree):
                tree[name] = rng.choice((*[name] * 9, *["-> " + "../" * name.count("/") + "shared"] * 2, "-> none"))
        if rng.random() < 0.5:
            patterns = "\n".join(rng.choices(PATTERNS, k=rng.randint(1, 2)))
            tree[f"{top}/{rng.choice(('.amlignore', '.gitignore'))}"] = patterns
    write(tmp_path, tree)
    includes = tuple(rng.sample(("lib", "other/lib", "other/a"), rng.randint(0, 2)))
    assert own_snapshot(tmp_path, "src", includes) == client_snapshot(tmp_path, "src", includes)


class BlobStorageClient:
    """The names of the blobs that the client would upload. It asks for the name of this class."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.uploaded_file_count, self.overwrite, self.container_client = 0, True, self

    def check_blob_exists(self) -> None:
        """No blob exists."""

    def upload_blob(self, name: str, **_: object) -> None:
        self.names.append(name.removeprefix("asset/data/"))


def client_upload(folder: Path) -> set[str] | str:
    """Upload a folder that is an input as the client does: `_upload_to_datastore` and `BlobStorageClient.upload`."""
    storage, ignore = BlobStorageClient(), get_ignore_file(folder)
    try:
        get_object_hash(folder, ignore)
        get_directory_size(folder, ignore_file=ignore)
        upload_directory(storage, folder, "asset", "", False, ignore)
    except (OSError, ValueError, RuntimeError, EmptyDirectoryError):
        return REFUSED
    return set(storage.names)


@pytest.mark.parametrize(
    ("tree", "ignored"),
    [
        ({"a": "", "b/c": "", "b/__pycache__/d": "", ".hidden": ""}, []),
        ({"a": "", "b/c": "", ".gitignore": "b/"}, ["b/c"]),
        ({"a": "", ".gitignore": "*"}, [".gitignore", "a"]),
        ({"a": "", "b": "-> none"}, []),
        ({"a": "", "b": "-> ."}, []),
        ({"a": "", "b": "-> ../other", "../other/c": ""}, []),
        ({".": None}, []),
    ],
)
def test_an_input_has_the_files_that_the_client_uploads(tree: Tree, ignored: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder, tree)
    upload, left_out = data_upload(folder, 100)
    assert (REFUSED if upload.refusals else set(upload.files)) == client_upload(folder)
    assert left_out == ignored


def test_a_check_stops_after_some_files_ignored_ones_included(tmp_path: Path) -> None:
    write(tmp_path, {**{f"src/old/{number}": "" for number in range(9)}, "src/.amlignore": "old", "src/z/a": "-> none"})
    assert [refusal.code for refusal in snapshot_of(tmp_path / "src", tmp_path).refusals] == ["broken_link"]
    stopped = snapshot_of(tmp_path / "src", tmp_path, most=5)
    assert (list(stopped.files), stopped.refusals) == ([".amlignore"], [])


def test_data_that_the_client_leaves_out_is_a_warning_of_its_first_use(tmp_path: Path) -> None:
    write(tmp_path, {"data/a": "", "data/b": "", "data/.gitignore": "[ab]", "empty": None})
    job = "{command: echo, environment: 'azureml:e:1', compute: c, inputs: {x: {path: data}, y: {path: empty}}}"
    (tmp_path / "p.yml").write_text(f"type: pipeline\njobs:\n  first: {job}\n  second: {job}\n")
    problems = validate_file(tmp_path / "p.yml")
    assert [(problem.severity, problem.code, problem.line) for problem in problems] == [
        ("warning", "ignored_data", 3),
        ("error", "empty_data", 3),
    ]
    assert "leaves 2 files such as 'a' out" in problems[0].message


def test_a_snapshot_that_the_client_refuses_is_an_error_at_its_line(tmp_path: Path) -> None:
    """Names that differ only by case are a warning: the client uploads both."""
    write(tmp_path, {**CODE, "src/A.py": "", "src/no.txt": "-> none", "src/l": "-> .", "src/shared/b": ""})
    fields = (
        "type: command\nname: c\ncommand: echo\nenvironment: azureml:e:1\ncode: src\nadditional_includes: [shared]\n"
    )
    job = "type: pipeline\njobs:\n  a:\n    compute: serverless\n    component:\n"
    (tmp_path / "c.yml").write_text(job + indent(fields, "      "))
    problems = validate_file(tmp_path / "c.yml")
    assert [(problem.severity, problem.code, problem.line, problem.value) for problem in problems] == [
        ("warning", "similar_names", 10, "a.py"),
        ("error", "link_loop", 10, "src/l"),
        ("error", "broken_link", 10, "src/no.txt"),
        ("error", "duplicate_name", 11, "shared"),
    ]
