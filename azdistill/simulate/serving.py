"""Serve a simulated teacher on loopback until the process is stopped."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping

from azdistill.contracts.simulation import ExpertName, ServedModel, Simulation
from azdistill.simulate.experts import conversation, judge, math, nli, qa, summarization, support
from azdistill.simulate.gateway import SimulatedEndpoint
from azdistill.simulate.server import listening
from azdistill.simulate.teacher import Expert, SimulatedTeacher

EXPERTS: Mapping[ExpertName, Expert] = {
    "support": support,
    "conversation": conversation,
    "nli": nli,
    "qa": qa,
    "math": math,
    "summarization": summarization,
    "judge": judge,
}


def serve(
    simulation: Simulation,
    *,
    model: ServedModel | None = None,
    port: int = 0,
    key: str | None = None,
    lifetime_s: float | None = None,
    with_parent: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until SIGTERM, Ctrl-C or the end of `lifetime_s` seconds. `announce` is called with the base URL.

    With `with_parent` it also ends when stdin closes, which happens when the parent process ends. Raises DataError for
    a model that cannot be loaded.
    """
    with contextlib.suppress(KeyboardInterrupt):
        endpoint = _endpoint(simulation, model, key)
        asyncio.run(_serve(endpoint, port, lifetime_s, with_parent, announce))


def _endpoint(simulation: Simulation, model: ServedModel | None, key: str | None) -> SimulatedEndpoint:
    if model is None:
        return SimulatedTeacher(simulation, EXPERTS[simulation.expert], key)
    # torch takes seconds to import, and no expert needs it.
    from azdistill.simulate.model.teacher import ModelTeacher
    from azdistill.students.loading import load_student

    return ModelTeacher(
        simulation,
        load_student(model.folder),
        str(model.folder),
        key,
        scores_prompts=model.prompt_logprobs,
        max_logprobs=model.max_logprobs,
    )


async def _serve(
    endpoint: SimulatedEndpoint, port: int, lifetime_s: float | None, with_parent: bool, announce: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if with_parent:
        _stop_with_stdin(asyncio.get_running_loop(), stop)
    async with listening(endpoint, port) as url:
        announce(url)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), lifetime_s)


def _stop_with_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def wait() -> None:
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, daemon=True).start()
