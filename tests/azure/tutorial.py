"""The snippet of docs/client.md, which is the one of the tutorials."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs/client.md").read_text(encoding="utf-8")
(SNIPPET,) = re.findall(r"```python\n(from azdistill import DistillationClient.*?)```", TEXT, re.DOTALL)
