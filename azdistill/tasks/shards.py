"""The files of a folder of rows, in the order in which they are read."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from azdistill.contracts.errors import DataError
from azdistill.tasks.formats import DataFormat, detect_format
from azdistill.tasks.mltable import MLTABLE, read_mltable

# Bytes of text for each compressed byte: gzip and zstd reduce conversations to a fifth to a third.
EXPANSION = 5

# Names of shards, also compressed: rows-00000.jsonl.gz, part-00000 of Spark.
_SHARD = re.compile(r"(.+\.(jsonl|ndjson|json|csv|tsv|parquet|arrow)|part-[^.]*)(\.(gz|gzip|zst|zstd))?", re.IGNORECASE)

# Files next to the shards that `datasets` writes. Source: https://huggingface.co/docs/datasets/about_arrow
_OF_DATASETS = frozenset({"dataset_info.json", "dataset_dict.json", "dataset_infos.json", "state.json"})

# Names of splits in paths. Source: https://huggingface.co/docs/datasets/repository_structure
_SPLIT = re.compile(r"(?<![a-z])(train|training|test|testing|validation|valid|dev|val|eval)(?![a-z])", re.IGNORECASE)
_SAME_SPLIT = {"training": "train", "testing": "test", "eval": "test", "valid": "validation", "dev": "validation"}
_SAME_SPLIT |= {"val": "validation"}


@dataclass(frozen=True)
class Shard:
    """A file of rows. `name` is its name in sources, and `format` the one that an MLTable states."""

    path: Path
    name: str
    format: DataFormat | None = None

    def detected(self) -> DataFormat:
        """The stated format, else that of the content. Raises DataError."""
        return self.format or detect_format(self.path)


def shards_of(path: Path) -> list[Shard]:
    """The file itself, the files of a folder and its sub-folders sorted by name, or those that its MLTable names.

    Left out are hidden files, files and folders whose names begin with `_`, such as _SUCCESS of Spark, and files of
    other formats, such as README.md. Raises DataError for a folder without data files, or with those of several splits.
    """
    if path.name == MLTABLE and path.is_file():
        raise DataError("is an MLTable, whose paths are relative to its folder", file=path, fix="name its folder")
    if not path.is_dir():
        return [Shard(path, path.name)]
    if (path / MLTABLE).is_file():
        table = read_mltable(path / MLTABLE)
        files = [inner for selected in table.selections(path) for inner in (_files(selected) or [selected])]
        return [Shard(file, _name(file, path), table.format_of(file)) for file in files]
    files = _files(path)
    if not files:
        endings = ".jsonl, .json, .csv, .tsv, .parquet or .arrow"
        raise DataError("the folder has no data file", file=path, fix=f"name the files *{endings}, or name one file")
    _check_splits(path, files)
    return [Shard(file, _name(file, path)) for file in files]


def text_bytes(path: Path) -> int:
    """Bytes of the text of a file or folder; those of compressed files are estimated. Raises DataError."""
    return sum(
        (EXPANSION if shard.detected().compression else 1) * shard.path.stat().st_size for shard in shards_of(path)
    )


def _files(folder: Path) -> list[Path]:
    """The data files below a folder, sorted; empty for a file."""
    files = (Path(root, name) for root, folders, names in os.walk(folder) if _descend(folders) for name in names)
    return sorted(file for file in files if _is_shard(file.name))


def _descend(folders: list[str]) -> bool:
    """Leave hidden folders, and those whose names begin with `_`, out of a walk."""
    folders[:] = [name for name in folders if not name.startswith((".", "_"))]
    return True


def _is_shard(name: str) -> bool:
    return bool(_SHARD.fullmatch(name)) and not name.startswith((".", "_")) and name not in _OF_DATASETS


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _check_splits(folder: Path, files: Iterable[Path]) -> None:
    """Raise DataError for the files of several splits, such as train/ and test/ of a data set: they are apart."""
    examples: dict[str, str] = {}
    for file in files:
        if match := _SPLIT.search(_name(file, folder)):
            split = match[0].lower()
            examples.setdefault(_SAME_SPLIT.get(split, split), _name(file, folder))
    if len(examples) > 1:
        raise DataError(
            f"the folder has files of several splits: {', '.join(examples.values())}",
            file=folder,
            code="several_splits",
            fix="name the files or the folder of one split",
        )
