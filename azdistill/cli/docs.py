"""azdistill docs: show a page of the documentation."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import print_columns, print_text


def docs(
    page: Annotated[
        str | None, typer.Argument(metavar="PAGE", help="name of the page; default: list all pages")
    ] = None,
) -> None:
    """Show a page of the documentation.

    The pages are installed with azdistill.

    Example: azdistill docs data | less

    Exit codes: 0 shown, 2 there is no such page.
    """
    from azdistill.contracts.errors import InputError
    from azdistill.contracts.problems import suggest
    from azdistill.job.assets import asset

    folder = asset("docs")
    pages = {path.stem: path for path in sorted(folder.glob("*.md"))}
    if page is None:
        print_columns([(name, _title(path)) for name, path in pages.items()])
        print_text(f"\nfiles: {folder}")
        return
    name = Path(page).name.removesuffix(".md")
    if name not in pages:
        raise InputError("no such page", subject=f"page {page!r}", code="unknown_page", fix=suggest(name, pages))
    print_text(pages[name].read_text(encoding="utf-8"))


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as stream:
        return stream.readline().strip("# \n")
