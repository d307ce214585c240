"""A worker process: imports the entry script, calls init(), then run() for each mini-batch that it is sent.

Started as `worker.py DESCRIPTOR` in the code folder. The descriptor is a socket with one JSON object a line. The first
line is what to run (`script`, `arguments`, `logging_level`); each further one is a mini-batch (`index`, `result`, and
`files` or `table` with `keys`). It answers `{}` once it is ready, `{"returned": N}` for a mini-batch, `{"error": TEXT}`
for what failed in the script, and `{"unwritten": TEXT}` for a result that there is no room for. When nothing more comes
it calls shutdown().
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
    """What Azure ML tells a run() that takes a second argument."""

    def __init__(self, index: int, partition: dict[str, Any]) -> None:
        self.minibatch_index, self.partition_key_value = index, partition


class EntryScript:
    """`azureml_user.parallel_run.EntryScript`, from which scripts take their logger on Azure ML."""

    @property
    def logger(self) -> logging.Logger:
        return logging.getLogger("entry_script")

    @property
    def working_dir(self) -> str:
        return os.getcwd()


def main(descriptor: int) -> int:
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rw", encoding="utf-8") as stream:
        try:
            script = start(json.loads(stream.readline()))
            tell(stream, {})
        except Exception as problem:
            tell(stream, failed(problem))
            return 1
        for line in stream:
            tell(stream, answer(script, json.loads(line)))
        if hasattr(script, "shutdown"):
            script.shutdown()
    return 0


def tell(stream: Any, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def failed(problem: Exception) -> dict[str, Any]:
    """The whole of it goes into the log, a line to the engine."""
    traceback.print_exc()
    return {"error": traceback.format_exception_only(type(problem), problem)[-1].strip()}


def start(settings: dict[str, Any]) -> ModuleType:
    """The entry script after its init(), imported by name from the code folder as on Azure ML."""
    name = settings["script"]
    sys.argv = [name, *settings["arguments"]]
    sys.path[0] = os.getcwd()
    logging.basicConfig(level=settings["logging_level"], stream=sys.stdout)
    offer_entry_script()
    script = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    script.init()
    return script


def offer_entry_script() -> None:
    package, module = ModuleType("azureml_user"), ModuleType("azureml_user.parallel_run")
    module.EntryScript = EntryScript  # type: ignore[attr-defined]
    package.parallel_run = module  # type: ignore[attr-defined]
    sys.modules.update({package.__name__: package, module.__name__: module})


def answer(script: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    try:
        batch, partition = read(request)
        context = [Context(request["index"], partition)] if takes_context(script.run) else []
        lines = rows(script.run(batch, *context))
    except Exception as problem:
        return failed(problem)
    try:
        with open(request["result"], "w", encoding="utf-8", newline="") as stream:
            stream.writelines(lines)
    except OSError as problem:
        return {"unwritten": str(problem)}
    return {"returned": json.loads(lines[0])["returned"]}


def read(request: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The mini-batch, a list of paths or a DataFrame, and the values of its partition keys."""
    if "files" in request:
        return request["files"], {}
    frame = importlib.import_module("pandas").read_pickle(request["table"])
    return frame, {key: frame[key].iloc[0] for key in request["keys"]}


def takes_context(run: Any) -> bool:
    kinds = [one.kind for one in inspect.signature(run).parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds or len([kind for kind in kinds if kind <= 1]) > 1


def rows(returned: Any) -> list[str]:
    """What run() returned as text, one element or row a line, after a line that tells how many."""
    header = None
    if hasattr(returned, "columns") and hasattr(returned, "to_csv"):
        header, text = " ".join(map(str, returned.columns)), returned.to_csv(sep=" ", header=False, index=False)
    elif isinstance(returned, (list, tuple)) or hasattr(returned, "tolist"):
        text = "".join(f"{element}\n" for element in returned)
    else:
        raise TypeError(f"run() returned {type(returned).__name__}; expected a list, a tuple or a DataFrame")
    return [json.dumps({"returned": len(returned), "header": header}) + "\n", text]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
