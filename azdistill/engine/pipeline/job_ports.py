"""What Azure ML takes for an input or an output of a job, where a component would declare one."""

from collections.abc import Mapping

from azdistill.engine.pipeline.reading import Part

_INPUT_MODES = ("download", "ro_mount", "direct", "eval_mount", "eval_download")
_OUTPUT_MODES = ("rw_mount", "upload", "mount", "direct")


def check_job_input(part: Part) -> None:
    """A mapping with type and path, or `{value: 3}`. A component declares types and defaults; a job gives values."""
    given = part.mapping()
    if set(given) == {"value"}:
        return
    if "path" not in given and "path_on_compute" not in given:
        default = given.get("default", given.get("value"))
        shown = f"write {part.place[-1]}: {default}" if default is not None else "write a literal, or type and path"
        part.error(f"Azure ML takes the value itself for an input of a job; {shown}", "azure", value=None)
    mode = part.at("mode")
    if mode.value is not None and mode.value not in _INPUT_MODES:
        mode.error("Azure ML refuses it for an input; take ro_mount or download, or write to an output", "azure")


def check_job_output(part: Part) -> None:
    mode = part.at("mode")
    if isinstance(part.value, Mapping) and mode.value is not None and mode.value not in _OUTPUT_MODES:
        mode.error(f"expected one of {', '.join(_OUTPUT_MODES)}", "azure")
    if isinstance(part.value, list):
        part.error("expected ${{parent.outputs.NAME}}, or a mapping with mode and path")
