"""A worker process: import the entry script, call init(), then run() for each mini-batch that it receives.

Usage: `worker.py DESCRIPTOR`, in the code folder. The descriptor is a socket with one JSON object a line. The first
line is `script`, `arguments` and `logging_level`. Every other line is a mini-batch: `index`, `result` (a file for its
rows), and `files` or `table` with `keys`. The worker answers `{}` when it is ready, `{"returned": ROWS}` for a
mini-batch, `{"error": TEXT}` for an error in the script, and `{"unwritten": TEXT}` when the result cannot be written.
At the end of the input it calls shutdown().
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import socket
import sys
import traceback
from types import ModuleType
from typing import Any


class Context:
    """The second argument of run(), `mini_batch_context`, as Azure ML passes it."""

    def __init__(self, index: int, partition: dict[str, Any]) -> None:
        self.minibatch_index, self.partition_key_value = index, partition


class EntryScript:
    """`azureml_user.parallel_run.EntryScript`, which gives scripts their logger on Azure ML."""

    @property
    def logger(self) -> logging.Logger:
        return logging.getLogger("entry_script")

    @property
    def working_dir(self) -> str:
        return os.getcwd()


def main(descriptor: int) -> int:
    """Serve mini-batches until the socket ends. Returns the exit code."""
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rw", encoding="utf-8") as stream:
        try:
            script = start(json.loads(stream.readline()))
            send(stream, {})
        except Exception as error:
            send(stream, failure(error))
            return 1
        for line in stream:
            send(stream, run_batch(script, json.loads(line)))
        if hasattr(script, "shutdown"):
            script.shutdown()
    return 0


def send(stream: Any, message: dict[str, Any]) -> None:
    """Write one message."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def failure(error: Exception) -> dict[str, Any]:
    """Print the traceback to the log; the message to the engine has its last line."""
    traceback.print_exc()
    return {"error": traceback.format_exception_only(type(error), error)[-1].strip()}


def start(settings: dict[str, Any]) -> ModuleType:
    """Import the entry script by name from the code folder, as on Azure ML, and call its init()."""
    name = settings["script"]
    sys.argv = [name, *settings["arguments"]]
    sys.path[0] = os.getcwd()
    logging.basicConfig(level=settings["logging_level"], stream=sys.stdout)
    install_entry_script()
    script = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    script.init()
    return script


def install_entry_script() -> None:
    """Make `from azureml_user.parallel_run import EntryScript` work."""
    package, module = ModuleType("azureml_user"), ModuleType("azureml_user.parallel_run")
    module.EntryScript = EntryScript  # type: ignore[attr-defined]
    package.parallel_run = module  # type: ignore[attr-defined]
    sys.modules.update({package.__name__: package, module.__name__: module})


def run_batch(script: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    """Call run() for a mini-batch, write its rows, and return the message to the engine."""
    try:
        batch, partition = read(request)
        context = [Context(request["index"], partition)] if takes_context(script.run) else []
        lines = result_lines(script.run(batch, *context))
    except Exception as error:
        return failure(error)
    try:
        with open(request["result"], "w", encoding="utf-8", newline="") as stream:
            stream.writelines(lines)
    except OSError as error:
        return {"unwritten": str(error)}
    return {"returned": json.loads(lines[0])["returned"]}


def read(request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The mini-batch (a list of paths or a DataFrame) and the values of its partition keys."""
    if "files" in request:
        return request["files"], {}
    frame = importlib.import_module("pandas").read_pickle(request["table"])
    return frame, {key: frame[key].iloc[0] for key in request["keys"]}


def takes_context(run: Any) -> bool:
    """True if run() accepts a second positional argument."""
    kinds = [parameter.kind for parameter in inspect.signature(run).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter.VAR_POSITIONAL in kinds or sum(kind in positional for kind in kinds) > 1


def result_lines(returned: Any) -> list[str]:
    """A JSON line with the number of rows and the columns, then the elements or rows as text, one a line."""
    header = None
    if hasattr(returned, "columns") and hasattr(returned, "to_csv"):
        header, text = " ".join(map(str, returned.columns)), returned.to_csv(sep=" ", header=False, index=False)
    elif isinstance(returned, (list, tuple)) or hasattr(returned, "tolist"):
        text = "".join(f"{element}\n" for element in returned)
    else:
        raise TypeError(f"run() returned {type(returned).__name__}; it must return a list, a tuple or a DataFrame")
    return [json.dumps({"returned": len(returned), "header": header}) + "\n", text]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
