"""Benchmark of everything after the training: a served student, a promotion, and what linters find.

`make bench-ship` prints a table, then one line of JSON; `python -m benchmarks.ship --only serve` runs some of the
figures. The first run installs checkov from PyPI below .bench/.

serve      `serve_errors`, `serve_p99_ms`, `serve_tokens_s`: 32 clients ask `azdistill serve` for 60 s, which serves the
           student of the quickstart: failed requests, 99th percentile of the latency, and answer tokens a second of all
promote    `promote_s`: seconds of a full promotion (train, summary, comment, promote, deploy) by scripts/cd with a
           simulated Azure CLI
infra      `infra_findings`: failed checks of checkov in infra/ without a reason in checkov-skips.yaml.
           `role_assignments` that infra/ deploys
workflows  `workflow_findings`: of zizmor and actionlint. `az_commands_checked`: commands of the scripts and pages whose
           options the CLI's reference documents; another command ends the benchmark
"""

from benchmarks.figures import Figures, print_figures


def serve() -> Figures:
    from benchmarks.ship_serve import serve_figures

    return serve_figures()


def promote() -> Figures:
    from benchmarks.ship_cd import promote_seconds

    return {"promote_s": promote_seconds()}


def infra() -> Figures:
    from benchmarks.ship_infra import infra_findings, role_assignments

    return {"infra_findings": infra_findings(), "role_assignments": role_assignments()}


def workflows() -> Figures:
    from benchmarks.ship_cd import az_commands_checked, workflow_findings

    return {"workflow_findings": workflow_findings(), "az_commands_checked": az_commands_checked()}


if __name__ == "__main__":
    print_figures(__doc__, {"serve": serve, "promote": promote, "infra": infra, "workflows": workflows})
