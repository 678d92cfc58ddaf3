"""A headless Chromium over its debugging pipe: pages opened, asked and photographed, with no driver and no port."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
_PHONE_PX = 640


class BrowserError(RuntimeError):
    """What the browser or a script in a page complained of."""


class Browser:
    """One Chromium for many pages, one after the other: ``with Browser() as browser: browser.open(path)``."""

    def __init__(self) -> None:
        """Start it; BrowserError if no Chromium is installed."""
        if CHROMIUM is None:
            raise BrowserError("Chromium is not installed")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs, self._to = _pipe()
        self._from, theirs_out = _pipe()
        words = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", f"--user-data-dir={self._profile.name}", "--remote-debugging-pipe",
        ]  # fmt: skip
        # Chromium reads commands from descriptor 3 and writes answers to 4
        wires = [(os.POSIX_SPAWN_DUP2, theirs, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        quiet = [(os.POSIX_SPAWN_OPEN, place, os.devnull, os.O_RDWR, 0) for place in (0, 1, 2)]
        self._pid = os.posix_spawn(CHROMIUM, words, dict(os.environ), file_actions=[*quiet, *wires], setsid=True)
        os.close(theirs)
        os.close(theirs_out)
        self._rest, self._count, self._session = b"", 0, ""
        self._events: list[dict[str, Any]] = []
        self._target = ""

    def __enter__(self) -> Self:
        """Return the browser."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End it with all that it started."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def open(self, path: Path, width: int = 1280, height: int = 900, fragment: str = "", dark: bool = False) -> None:
        """Load a file as a page of a width (a phone's if it is narrow) and wait until it has loaded and painted."""
        if self._target:
            self._send("Target.closeTarget", {"targetId": self._target}, session="")
        self._target = self._send("Target.createTarget", {"url": "about:blank"}, session="")["targetId"]
        attached = self._send("Target.attachToTarget", {"targetId": self._target, "flatten": True}, session="")
        self._session = attached["sessionId"]
        self._events.clear()
        self._send("Page.enable")
        self._send("Runtime.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width <= _PHONE_PX}
        self._send("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", {"features": [scheme]})
        self._send("Page.navigate", {"url": f"{path.resolve().as_uri()}{fragment}"})
        self._wait_for("Page.loadEventFired")
        # two frames: what scripts drew when the page had loaded is on it then
        self.run("await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));")

    def run(self, script: str) -> Any:
        """Return the JSON value of a script's (async) function body in the page; BrowserError if it throws."""
        asked = {"expression": f"(async () => {{\n{script}\n}})()", "awaitPromise": True, "returnByValue": True}
        found = self._send("Runtime.evaluate", asked)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def picture(self, selector: str = "html", most_px: int = 2400) -> bytes:
        """Return a PNG of the first element that a selector finds, across the page and at most so high."""
        place = self.run(f"""
          const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();
          return {{y: Math.max(box.top + scrollY, 0), height: Math.ceil(box.height), width: innerWidth}};""")
        clip = {**place, "x": 0, "height": min(place["height"], most_px), "scale": 1}
        found = self._send("Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True})
        return base64.b64decode(found["data"])

    def first_paint_ms(self) -> float:
        """Return when the page first showed something, in milliseconds since it was asked for."""
        return self.run("""
          return await new Promise((done) => new PerformanceObserver((list) => done(list.getEntries()[0].startTime))
            .observe({type: "paint", buffered: true}));""")

    @property
    def happened(self) -> list[str]:
        """Return what the page did that no report should: dialogs that it opened, errors that it threw."""
        found: list[str] = []
        for event in self._events:
            if event["method"] == "Page.javascriptDialogOpening":
                found.append(f"dialog: {event['params']['message']}")
            if event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
        return found

    def _send(self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None) -> Any:
        self._count += 1
        asked: dict[str, Any] = {"id": self._count, "method": method, "params": parameters or {}}
        if session is None:
            asked["sessionId"] = self._session
        self._write(asked)
        while True:
            message = self._read()
            if message.get("id") == asked["id"]:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error']['message']}")
                return message["result"]

    def _write(self, asked: dict[str, Any]) -> None:
        rest = memoryview(json.dumps(asked).encode() + b"\0")
        while rest:
            rest = rest[os.write(self._to, rest) :]

    def _wait_for(self, method: str, most_s: float = 120.0) -> None:
        until = time.monotonic() + most_s
        while not any(event["method"] == method for event in self._events):
            if time.monotonic() > until:
                raise BrowserError(f"no {method} within {most_s:g} s")
            self._read()

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._from, 1 << 20)
            if not more:
                raise BrowserError("Chromium ended")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message and message.get("sessionId") == self._session:
            self._events.append(message)
            if message["method"] == "Page.javascriptDialogOpening":
                self._count += 1
                answer = {"id": self._count, "method": "Page.handleJavaScriptDialog", "params": {"accept": True},
                          "sessionId": self._session}  # fmt: skip
                self._write(answer)
        return message


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends lie above the descriptors that the browser is given."""
    ends: list[int] = []
    for end in os.pipe():
        ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20))
        os.close(end)
    return ends[0], ends[1]
