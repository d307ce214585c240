"""What is generated and committed here: the goldens of the scenarios, and the table of requests in README.md.

`python -m tests.workspace.generated` writes them; test_wire.py fails when one differs.
A golden is a conversation: every request in order, what is random in it named by the
order in which it turns up.
"""

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.workspace.azurite import ACCOUNT, azurite
from tests.workspace.credential import audience
from tests.workspace.ledger import Seen
from tests.workspace.routes import FRONT, LOCATION, REGISTRY, SCOPE, TABLE
from tests.workspace.stand_in import Workspace

HERE = Path(__file__).parent
GOLDENS, README = HERE / "goldens", HERE / "README.md"
PLACES = {"REGISTRY": REGISTRY, "FRONT": FRONT, "WORKSPACE": SCOPE, "REGION": LOCATION}
"""How the table names the beginnings of addresses, the longer ones first."""
BEGIN, END = "<!-- generated: requests -->", "<!-- end -->"
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def conversation(workspace: Workspace) -> str:
    """Every request that `workspace` saw. The subscription and the storage's address have their Azure form."""
    text = json.dumps([_said(seen) for seen in workspace.ledger.seen], indent=2) + "\n"
    for url in (workspace.blobs.azurite.account_url, workspace.blobs.azurite.url):
        text = text.replace(url, f"https://{ACCOUNT}.blob.core.windows.net")
    text = text.replace(workspace.arm_id, "<workspace>").replace(workspace.subscription, "<subscription>")
    return _numbered(text)


def _said(seen: Seen) -> dict[str, Any]:
    request = seen.request
    query = {name: value for name, value in request.query.items() if name != "api-version"}
    parts = {
        "api-version": request.api_version,
        "x-azureml-token for": audience(request.headers.get("x-azureml-token", "")),
        "query": query,
        "body": request.body,
        "status": seen.status,
    }
    return {"request": f"{request.method} {request.path}", **{name: part for name, part in parts.items() if part}}


def _numbered(text: str) -> str:
    """The first random id becomes <id 1> wherever it stands, the second <id 2>."""
    numbers = {guid: number for number, guid in enumerate(dict.fromkeys(GUID.findall(text)), 1)}
    return GUID.sub(lambda found: f"<id {numbers[found.group()]}>", text)


def conversations() -> Iterator[tuple[Path, str]]:
    """Path and text of every golden, from a session of its own, outside any git repository."""
    from tests.workspace.connecting import connected, connected_to_registry, fresh_workspace
    from tests.workspace.credential import StandInCredential
    from tests.workspace.scenarios import IN_REGISTRY, SCENARIOS

    with tempfile.TemporaryDirectory() as folder, azurite(Path(folder)) as storage, contextlib.chdir(folder):
        for name, scenario in SCENARIOS.items():
            with fresh_workspace(storage) as workspace, connected(workspace, StandInCredential()) as client:
                scenario(client)
                yield GOLDENS / f"{name}.json", conversation(workspace)
        for name, scenario in IN_REGISTRY.items():
            with fresh_workspace(storage) as workspace:
                workspace.registries.create("house")
                with connected_to_registry(workspace, StandInCredential(), "house") as client:
                    scenario(client)
                yield GOLDENS / f"{name}.json", conversation(workspace)


def readme() -> str:
    """README.md with the table of requests as the routes have it."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{_table()}{END}{after}"


def _table() -> str:
    lines = ["| request | api-version |", "| --- | --- |"]
    for route in sorted(TABLE, key=lambda route: (route.path, route.method)):
        place = route.path
        for name, address in PLACES.items():
            place = place.replace(address, name)
        versions = ", ".join(sorted(route.api_versions)) or "none"
        lines.append(f"| `{route.method} {place}` | {versions} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path, text in [*conversations(), (README, readme())]:
        path.write_text(text, encoding="utf-8", newline="\n")
