"""infra/README.md names only what exists, with the values of the parameter files."""

import re

from tests.infra.bicep import INFRA, read, read_parameters

TEXT = (INFRA / "README.md").read_text(encoding="utf-8")
MAIN = read("main.bicep")


def test_files_exist() -> None:
    names = set(re.findall(r"infra/([\w./-]+\.(?:bicepparam|bicep|yml))", TEXT)) - {"yaml/*.yml"}
    assert {"main.bicep"} | names >= {"subscription.bicep", "shared.bicep", "dev.bicepparam"}
    assert [name for name in names if not (INFRA / name.replace("$cluster", "cpu-cluster")).exists()] == []
    links = [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if not link.startswith("http")]
    assert [link for link in links if not (INFRA / link).exists()] == []


def test_the_table_has_the_values_of_the_parameter_files() -> None:
    rows = re.findall(r"^\| `(\w+)`[^|]* \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 6
    for name, *cells in rows:
        for environment, cell in zip(("dev", "test", "prod"), cells, strict=True):
            value = read_parameters(f"{environment}.bicepparam").get(name, MAIN.params[name].value)
            assert cell.partition(":")[0].lower() == str(value).lower(), (name, environment)


def test_outputs_and_parameters_exist() -> None:
    named = set(re.findall(r"`(\w+)`", TEXT))
    assert {
        "publicNetworkAccess",
        "usersGroupId",
        "reachesRegistries",
        "budgetStartDate",
        "allowedVmSizes",
    } <= named & set(MAIN.params)
    assert {"teacherDeployment", "connectionName", "jobsClientId", "githubClientIds"} <= set(MAIN.outputs)
