"""The MLflow tracking of nodes: the database of the home folder, which only one version of MLflow may open.

MLflow changes the tables of a database from version to version and refuses those of another one. A node whose MLflow is
not that of this process sends its metrics to a server of this version, over HTTP on loopback.
"""

import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from select import POLLIN, poll
from shlex import join

from azdistill.engine.job_variables import TRACKING_DATABASE, TRACKING_TOKEN
from azdistill.engine.local.processes import Launch, Processes, Stopped
from azdistill.engine.local.pythons import Python
from azdistill.engine.local.variables import ARTIFACTS, LOOPBACK, TRACKING_URI, database_address

logger = logging.getLogger("azdistill.engine")

LOG = "mlflow-server.log"

_SCRIPT = Path(__file__).with_name("mlflow_script.py")
_POLL_INTERVAL_S = 0.2


class Tracking:
    """The tracking of the nodes of one run. The server starts with the first request, which it answers once it is up:
    importing MLflow takes seconds, and most runs have no such node."""

    def __init__(self, home: Path, python: Python) -> None:
        """`python` is the interpreter of this process."""
        self._home, self._database, self._python = home.absolute(), database_address(home), python
        self._server = _Server(self._home, self._database) if python.mlflow_server else None

    def variables(self, variables: Mapping[str, str], python: Python) -> Mapping[str, str]:
        """Those that replace the address of the database in the `variables` of a node. `python` is its interpreter.

        Without MLflow in this process, nodes log to files, which all versions can share.
        """
        if variables[TRACKING_URI] != self._database:
            return {}
        if self._server is None:
            return {TRACKING_URI: (self._home / ARTIFACTS).as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
        token = self._server.token
        if python.mlflow_server and python.mlflow == self._python.mlflow:  # mlflow-skinny cannot open a database
            return {TRACKING_TOKEN: token}
        credentials = {
            "MLFLOW_TRACKING_USERNAME": "",
            "MLFLOW_TRACKING_TOKEN": token,
        }  # MLflow prefers a name to a token
        return {
            TRACKING_URI: self._server.address,
            TRACKING_DATABASE: self._database,
            TRACKING_TOKEN: token,
            **credentials,
        }

    @property
    def replacement(self) -> tuple[str, str] | None:
        """The address of the database, and the one that replaces it where a command installs its own MLflow."""
        return (self._database, self._server.address) if self._server else None

    def close(self) -> None:
        """End the server, if it runs."""
        if self._server:
            self._server.close()


class _Server:
    """MLflow's server in a process of its own."""

    def __init__(self, home: Path, database: str) -> None:
        self._home, self._database = home, database
        self.token = secrets.token_urlsafe()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"
        self._ending, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it. Requests are answered no longer."""
        self._end.close()
        self._thread.join()

    def _serve(self) -> None:
        with self._listener, self._ending:
            if not self._is_over(self._listener):
                self._run()

    def _is_over(self, *others: socket.socket, timeout_s: float | None = None) -> bool:
        """True if the server is to end. Waits until then, until one of `others` is readable, or for `timeout_s`."""
        waiting = poll()
        for channel in (self._ending, *others):
            waiting.register(channel, POLLIN)
        ready = waiting.poll(None if timeout_s is None else timeout_s * 1000)
        return self._ending.fileno() in {descriptor for descriptor, _ in ready}

    def _run(self) -> None:
        """Run the process to its end. Then the socket is closed, so that no request waits for a server that failed."""
        arguments = (str(self._listener.fileno()), self._database, str(self._home / ARTIFACTS))
        command = join([sys.executable, "-P", str(_SCRIPT), *arguments])
        log = self._home / LOG
        variables = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", TRACKING_TOKEN: self.token}
        launch = Launch(f"exec {command}", self._home, log, variables, (self._listener.fileno(),))
        processes = Processes(grace=0)
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            with suppress(Stopped), processes.start(launch) as running:
                while running.wait(0) is None and not self._is_over(timeout_s=_POLL_INTERVAL_S):
                    pass
                if (code := running.wait(0)) is not None:
                    logger.warning(f"warning: the MLflow server of this run ended with {code}; see {log}")
        except OSError as error:
            logger.warning(f"warning: the MLflow server of this run could not start: {error.strerror or error}")
        finally:
            processes.close()
