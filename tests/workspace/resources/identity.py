"""Identity endpoint of a compute node: managed identity, or the user on whose behalf the job runs."""

from typing import TYPE_CHECKING

from tests.workspace.credential import SimulatedCredential
from tests.workspace.routes import node
from tests.workspace.wire import ArmError, Reply, Request

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

MANAGED, ON_BEHALF_OF = "/node/msi/token", "/node/obo"
# The header `secret` proves that a process runs on the node.
SECRET = "canary-msi-secret"
MSI_VERSION = "2017-09-01"


class Identity:
    """`requested` lists the paths of the token requests. Tokens are of one principal, whichever endpoint gives them."""

    def __init__(self, principal: str) -> None:
        self.credential = SimulatedCredential(principal)
        self.requested: list[str] = []

    def token(self, request: Request) -> Reply:
        self.requested.append(request.path)
        resource = request.query["resource"]
        token = self.credential.get_token(resource)
        body = {"access_token": token.token, "expires_on": str(token.expires_on), "resource": resource}
        return Reply(body={**body, "token_type": "Bearer"})


@node("GET", MANAGED, MSI_VERSION)
def managed(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    if request.headers.get("secret") != SECRET:
        raise ArmError(401, "Unauthorized", "The header secret is wrong.")
    return workspace.identity.token(request)


@node("GET", ON_BEHALF_OF)
def on_behalf_of(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return workspace.identity.token(request)
