"""Authorities that refuse an error of a pipeline file: Azure's client, Azure ML's service, or the local engine.

Verified with azure-ai-ml 1.35: `tests/engine/pipeline/test_authorities.py` gives it each wrong file of the tests.
"""

from collections.abc import Mapping

from azdistill.engine.problems import Authority, Scope

CLIENT: tuple[Authority, ...] = ("client",)
SERVICE: tuple[Authority, ...] = ("service",)
ENGINE: tuple[Authority, ...] = ("engine",)
CLIENT_AND_ENGINE = (*CLIENT, *ENGINE)
SERVICE_AND_ENGINE = (*SERVICE, *ENGINE)

# By the code of an error. A check whose error is refused by others says so itself.
_REFUSED_BY: Mapping[str, tuple[Authority, ...]] = {
    **dict.fromkeys(("unknown_field", "missing_compute", "missing_value", "missing_version"), CLIENT),
    **dict.fromkeys(("wrong_format", "yaml_1_1"), CLIENT),
    **dict.fromkeys(
        (
            "broken_link",
            "link_loop",
            "duplicate_name",
            "similar_names",
            "invalid_ignore_file",
            "empty_code",
            "empty_data",
        ),
        CLIENT,
    ),
    **dict.fromkeys(("invalid_yaml", "not_utf8", "not_a_mapping", "unreadable_file"), CLIENT_AND_ENGINE),
    **dict.fromkeys(("missing_field", "missing_input", "missing_file", "wrong_type"), CLIENT_AND_ENGINE),
    **dict.fromkeys(("invalid_choice", "invalid_name", "duplicate_value", "recursive_pipeline"), CLIENT_AND_ENGINE),
    **dict.fromkeys(("wrong_length", "wrong_file_type", "unknown_vm_size"), SERVICE),
    **dict.fromkeys(("unknown_node", "unknown_input", "unknown_output", "undeclared_port"), SERVICE_AND_ENGINE),
    **dict.fromkeys(("invalid_reference", "type_mismatch", "optional_for_required"), SERVICE_AND_ENGINE),
    **dict.fromkeys(("out_of_range", "shared_output", "cycle"), SERVICE_AND_ENGINE),
    **dict.fromkeys(("unsupported_locally", "missing_package", "unsafe_path"), ENGINE),
    **dict.fromkeys(("too_many_jobs", "too_many_ports"), ENGINE),
}


def refused_by(code: str, scope: Scope) -> tuple[Authority, ...]:
    """Authorities that refuse an error of a code, where its check does not name them. An error of a local run is one of
    the engine, and an error of Azure ML only is none of it."""
    authorities = ENGINE if scope == "local" else _REFUSED_BY.get(code, ENGINE)
    return tuple(name for name in authorities if scope != "azure" or name != "engine")
