"""The documentation as a site: ``pip install perfmodel[docs]``, then ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import perfmodel  # noqa: E402  the checkout beside this file, not an installed one

project = "perfmodel"
author = "the authors of perfmodel"
release = version = perfmodel.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc"]
nb_execution_mode = "off"  # a test runs the tutorial; the site shows what is stored in it
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"perfmodel {release}"
myst_heading_anchors = 3
autodoc_typehints = "description"
suppress_warnings = ["myst.xref_missing"]  # pages link to files of the repository that are no pages
nitpicky = False


def _generated(_: Any) -> None:
    from make_command_pages import write_pages
    from make_tables import errors_page

    write_pages(HERE / "_generated")
    (HERE / "_generated" / "errors.md").write_text(errors_page(), encoding="utf-8")


def _with_contents(_: Any, name: str, source: list[str]) -> None:
    """Give the index its table of contents here, where those who read the file itself need not see it.

    The page of reproductions is derived again, so that the site shows the numbers of this version.
    """
    if name == "reproductions":
        from make_tables import reproductions_page

        source[0] = reproductions_page()
    if name == "index":
        pages = sorted(
            path.stem for path in HERE.glob("*.*") if path.suffix in (".md", ".ipynb") and path.stem != "index"
        )
        listed = "\n".join([*pages, "_generated/errors", "_generated/index", "_generated/python"])
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"


def setup(app: Any) -> None:
    """Write the generated pages before the sources are read."""
    app.connect("builder-inited", _generated)
    app.connect("source-read", _with_contents)
