"""The snippet of docs/client.md: what tutorials have people write."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs/client.md").read_text(encoding="utf-8")
(SNIPPET,) = re.findall(r"```python\n(from azdistill import DistillationClient.*?)```", TEXT, re.DOTALL)
