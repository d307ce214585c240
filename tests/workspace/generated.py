"""Generate the goldens of the scenarios, the table of routes in README.md, and that of docs/azure-first-run.md.

`python -m tests.workspace.generated` writes them; test_wire.py fails when one differs. A golden lists all requests of a
scenario in order. Random ids are numbered in the order of their first appearance.
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
from tests.workspace.first_day_page import PAGE, page
from tests.workspace.request_log import LoggedRequest
from tests.workspace.routes import FRONT, LOCATION, REGISTRY, SCOPE, TABLE
from tests.workspace.simulated import SimulatedWorkspace

HERE = Path(__file__).parent
GOLDENS, README = HERE / "goldens", HERE / "README.md"
# Names of path prefixes in the table, longer prefixes first.
PREFIXES = {"REGISTRY": REGISTRY, "FRONT": FRONT, "WORKSPACE": SCOPE, "REGION": LOCATION}
BEGIN, END = "<!-- generated: requests -->", "<!-- end -->"
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def recorded_requests(workspace: SimulatedWorkspace) -> str:
    """All requests of `workspace` as JSON. Subscription and storage account have the form that they have in Azure."""
    text = json.dumps([_entry(logged) for logged in workspace.requests.all], indent=2) + "\n"
    for url in (workspace.blobs.azurite.account_url, workspace.blobs.azurite.url):
        text = text.replace(url, f"https://{ACCOUNT}.blob.core.windows.net")
    text = text.replace(workspace.arm_id, "<workspace>").replace(workspace.subscription, "<subscription>")
    return _numbered(text)


def _entry(logged: LoggedRequest) -> dict[str, Any]:
    request = logged.request
    query = {name: value for name, value in request.query.items() if name != "api-version"}
    entry = {
        "api-version": request.api_version,
        "x-azureml-token for": audience(request.headers.get("x-azureml-token", "")),
        "query": query,
        "body": request.body,
        "status": logged.status,
    }
    return {"request": f"{request.method} {request.path}", **{name: value for name, value in entry.items() if value}}


def _numbered(text: str) -> str:
    """Replace the first random id by <id 1> everywhere, the second by <id 2>."""
    numbers = {guid: number for number, guid in enumerate(dict.fromkeys(GUID.findall(text)), 1)}
    return GUID.sub(lambda match: f"<id {numbers[match.group()]}>", text)


def goldens() -> Iterator[tuple[Path, str]]:
    """Path and text of every golden, from a separate Azurite. Runs outside any git repository."""
    from tests.workspace.clients import client_for, empty_workspace, registry_client_for
    from tests.workspace.credential import SimulatedCredential
    from tests.workspace.scenarios import REGISTRY_SCENARIOS, SCENARIOS

    with tempfile.TemporaryDirectory() as folder, azurite(Path(folder)) as storage, contextlib.chdir(folder):
        for name, scenario in SCENARIOS.items():
            with empty_workspace(storage) as workspace, client_for(workspace, SimulatedCredential()) as client:
                workspace.registries.create("house")
                scenario(client)
                yield GOLDENS / f"{name}.json", recorded_requests(workspace)
        for name, scenario in REGISTRY_SCENARIOS.items():
            with empty_workspace(storage) as workspace:
                workspace.registries.create("house")
                with registry_client_for(workspace, SimulatedCredential(), "house") as client:
                    scenario(client)
                yield GOLDENS / f"{name}.json", recorded_requests(workspace)


def readme() -> str:
    """README.md with the table of the registered routes."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{_table()}{END}{after}"


def _table() -> str:
    lines = ["| request | api-version |", "| --- | --- |"]
    for route in sorted(TABLE, key=lambda route: (route.path, route.method)):
        path = route.path
        for name, prefix in PREFIXES.items():
            path = path.replace(prefix, name)
        versions = ", ".join(sorted(route.api_versions)) or "none"
        lines.append(f"| `{route.method} {path}` | {versions} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path, text in [*goldens(), (README, readme()), (PAGE, page())]:
        path.write_text(text, encoding="utf-8", newline="\n")
