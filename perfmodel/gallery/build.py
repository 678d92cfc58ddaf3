"""Pages from stories, and the index over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perfmodel import __version__
from perfmodel.errors import InputError, did_you_mean
from perfmodel.files import write_text
from perfmodel.gallery.stories import STORIES
from perfmodel.gallery.story import Story, Told
from perfmodel.reports.page import escape, page, section

INDEX = "index.html"


def build_gallery(
    folder: str | Path, only: Sequence[str] = (), progress: Callable[[str], None] | None = None
) -> dict[str, str]:  # fmt: skip
    """Write the pages into a folder and return their findings by name; the index is written when all are.

    ``only`` names the pages that are wanted. Errors: :class:`InputError` for a page that there is not.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    findings: dict[str, str] = {}
    for story in chosen(only):
        told = story.tell(story.ask())
        write_text(str(target / f"{story.name}.html"), story_html(story, told))
        findings[story.name] = told.finding
        if progress:
            progress(f"{story.name}: {told.finding}")
    if not only:
        write_text(str(target / INDEX), index_html(findings))
    return findings


def chosen(names: Sequence[str]) -> list[Story]:
    """Return the stories of these names, all without any. Errors: :class:`InputError`."""
    known = {story.name: story for story in STORIES}
    for name in names:
        if name not in known:
            raise InputError(f"no page '{name}'{did_you_mean(name, known)} (one of {', '.join(known)})")
    return [known[name] for name in names] if names else list(STORIES)


def story_html(story: Story, told: Told) -> str:
    """Return a page: the question, the finding, the views, what was assumed, and how to ask again."""
    header = (
        f'<p class="soft"><a href="{INDEX}">Gallery</a></p>\n<h1>{escape(story.title)}</h1>\n'
        f'<p class="finding">{escape(told.finding)}</p>'
    )
    assumed = "".join(f"<li>{escape(text)}</li>" for text in told.assumed)
    commands = "\n".join(told.commands)
    views = "".join(map(section, told.views))
    body = (
        f'{views}<section id="assumed">\n<h2>What was assumed</h2>\n<ul>{assumed}</ul>\n</section>\n'
        f'<section id="again">\n<h2>Ask again</h2>\n<pre>{escape(commands)}</pre>\n</section>\n'
    )
    return page(story.title, header, body, _footer(), [plot for view in told.views for plot in view.plots])


def index_html(findings: dict[str, str]) -> str:
    """Return the index: every question with its finding, as a link to its page."""
    rows = "".join(_entry(story, findings[story.name]) for story in STORIES if story.name in findings)
    header = (
        "<h1>Questions, answered</h1>\n<p class='soft'>Each page draws its conclusion from the numbers of this "
        "version; "
        "<code>perfmodel gallery</code> builds them anew.</p>"
    )
    return page("perfmodel: gallery", header, f'<ul class="gallery">\n{rows}</ul>\n', _footer(), [])


def _entry(story: Story, finding: str) -> str:
    link = f'<a href="{story.name}.html">{escape(story.title)}</a>'
    return f"<li><h2>{link}</h2>\n<p>{escape(finding)}</p></li>\n"


def _footer() -> str:
    return escape(f"perfmodel {__version__}; expected times with their errors as in docs/accuracy.md")
