"""The command `vllm`, and the environment variables of its processes."""

import shutil
import sys
from pathlib import Path

# No access to the model hub, and no usage statistics to vLLM's authors.
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


def executable() -> str | None:
    """Path of the command `vllm`, in this environment or on the PATH; None where it is not installed."""
    program = Path(sys.executable).with_name("vllm")
    return str(program) if program.is_file() else shutil.which("vllm")
