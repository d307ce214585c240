"""Who a job is, as its compute node tells: a managed identity, or the user on whose behalf it runs."""

from typing import TYPE_CHECKING

from tests.workspace.credential import StandInCredential
from tests.workspace.routes import node
from tests.workspace.wire import ArmError, Reply, Request

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

MANAGED, ON_BEHALF_OF = "/node/msi/token", "/node/obo"
SECRET = "canary-msi-secret"
"""What a process proves with that it runs on the node."""
MSI_VERSION = "2017-09-01"


class Identity:
    """`asked` are the ways by which tokens were taken."""

    def __init__(self) -> None:
        self.credential = StandInCredential()
        self.asked: list[str] = []

    def token(self, request: Request) -> Reply:
        self.asked.append(request.path)
        resource = request.query["resource"]
        found = self.credential.get_token(resource)
        told = {"access_token": found.token, "expires_on": str(found.expires_on), "resource": resource}
        return Reply(body={**told, "token_type": "Bearer"})


@node("GET", MANAGED, MSI_VERSION)
def managed(workspace: "Workspace", request: Request) -> Reply:
    if request.headers.get("secret") != SECRET:
        raise ArmError(401, "Unauthorized", "The header secret is wrong.")
    return workspace.identity.token(request)


@node("GET", ON_BEHALF_OF)
def on_behalf_of(workspace: "Workspace", request: Request) -> Reply:
    return workspace.identity.token(request)
