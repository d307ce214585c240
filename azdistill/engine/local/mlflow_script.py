"""MLflow's server for one database: `python -P mlflow_script.py LISTENER DATABASE ARTIFACTS`.

LISTENER is the file descriptor of a socket that listens already, on which requests may be waiting.
"""

import logging
import os
import sys


def serve(listener: int, database: str, artifacts: str) -> None:
    # Also makes MLflow refuse requests of web pages. Source: mlflow.server.
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = database
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = artifacts
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # no line for each request
    from mlflow.server import app
    from werkzeug.serving import make_server

    make_server("127.0.0.1", 0, app, threaded=True, fd=listener).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:])
