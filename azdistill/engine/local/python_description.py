"""The facts about a Python interpreter that a virtual environment above it needs: `python python_description.py`.

Runs in interpreters of any version, and prints JSON.
"""

import json
import platform
import site
import sys
import typing


def describe() -> "dict[str, typing.Any]":
    """The interpreter that runs this. `executable` is the one below its virtual environment, if it has one; `mlflow` is
    the version of MLflow, and `mlflow_server` is true if it has the packages of a server and of a database."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return {
        "executable": getattr(sys, "_base_executable", None) or sys.executable,
        "version": platform.python_version(),
        "packages": "lib/python{}.{}{}/site-packages".format(
            *sys.version_info[:2], "t" if "t" in getattr(sys, "abiflags", "") else ""
        ),
        "site_folders": list(dict.fromkeys(site.getsitepackages() + user)),
        "has_pip": _version("pip") is not None,
        "mlflow": _version("mlflow") or _version("mlflow-skinny"),
        "mlflow_server": _version("mlflow") is not None,
    }


def _version(package: str) -> "str | None":
    try:
        from importlib import metadata

        return metadata.version(package)
    except ImportError:  # it is not installed, or Python is older than 3.8
        return None


if __name__ == "__main__":
    print(json.dumps(describe()))
