"""The table of roles in infra/README.md."""

from pathlib import Path

from azdistill.azure.roles import ASSIGNMENTS, PRINCIPALS

PAGE = Path(__file__).parents[2] / "infra" / "README.md"
BEGIN, END = "<!-- generated: roles -->\n", "<!-- end -->"


def roles_page() -> str:
    """infra/README.md with the table of azdistill/azure/roles.json."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return "".join([before, BEGIN, _table(), END, after])


def _table() -> str:
    names = [f"- `{name}`: {meaning}" for name, meaning in PRINCIPALS.items()]
    rows = [
        f"| `{item.principal}` | {item.role.name} | `{item.role.id}` | {item.scope} | {item.why} |"
        for item in ASSIGNMENTS
    ]
    return "\n".join(
        [*names, "", "| principal | role | GUID | scope | needed for |", "|---|---|---|---|---|", *rows, ""]
    )
