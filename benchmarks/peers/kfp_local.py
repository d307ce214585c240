"""A chain of nodes in kfp's local runner, each a process of this interpreter, as kfp's documentation has it.

Runs in a separate virtual environment: `kfp_local.py NODES` prints the seconds a node took.
"""

import os
import sys
import tempfile
import time

from kfp import dsl, local


@dsl.component
def say(before: str) -> str:
    return "here"


def main(nodes: int) -> None:
    @dsl.pipeline
    def chain() -> str:
        last = say(before="")
        for _ in range(nodes - 1):
            last = say(before=last.output)
        return last.output

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=folder)
        started = time.perf_counter()
        result = chain()
        took = time.perf_counter() - started
    if result.output != "here":
        sys.exit(f"the chain gave {result.output!r}")
    print(took / nodes)


if __name__ == "__main__":
    main(int(sys.argv[1]))
