"""A headless Chromium for tests: what a page makes of itself, without a driver."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
_RESULT = "result-of-the-test"


def run_in_page(page: str, script: str, folder: Path, fragment: str = "", width: int = 1280, height: int = 900) -> Any:
    """Return the JSON value of a script's (async) function body, run at the end of a page that has loaded.

    The page keeps its content security policy. Errors that the page itself throws fail the call.
    """
    probe = (
        f"<script>(async () => {{ const run = async () => {{\n{script}\n}};\n"
        "let value; try { value = {value: await run()}; }\n"
        "catch (error) { value = {error: String(error.stack || error)}; }\n"
        "if (window.failed) value = {error: window.failed};\n"
        f"const told = document.createElement('pre'); told.id = '{_RESULT}';\n"
        "told.textContent = JSON.stringify(value); document.body.append(told); })();</script>\n"
    )
    first, end, rest = page.rpartition("</body>")
    # what the page's own scripts throw is heard by a listener before them
    head, mark, tail = first.partition("<head>")
    listening = "<script>addEventListener('error', (event) => { window.failed = event.message; });</script>"
    target = folder / "page.html"
    target.write_text(f"{head}{mark}{listening}{tail}{probe}{end}{rest}", encoding="utf-8")
    dom = dump_dom(f"{target.as_uri()}{fragment}", width, height)
    found = re.search(rf'<pre id="{_RESULT}">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    answer = json.loads(html.unescape(found[1]))
    assert "error" not in answer, answer["error"]
    return answer.get("value")


def dump_dom(address: str, width: int = 1280, height: int = 900, *more: str) -> str:
    """Return the document that a page has become, as HTML."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", f"--user-data-dir={profile}", f"--window-size={width},{height}",
            "--virtual-time-budget=20000", *more, "--dump-dom", address,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    return done.stdout
