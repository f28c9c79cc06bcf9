"""A headless Chromium, spoken to through a pipe: pages are opened, asked and printed. It needs no other library and no port.

The messages are those of the DevTools protocol (https://chromedevtools.github.io/devtools-protocol), each ended by a null byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mechlib.errors import MechlibError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No network, and nothing that a first start would ask or fetch. A container's root has no sandbox.
_OPTIONS = ("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
            "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND")  # fmt: skip
_PATIENCE = 120.0


class BrowserError(MechlibError, RuntimeError):
    """A browser that is not there, does not start or does not answer."""


def program() -> str | None:
    """The first Chromium on the path."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Generator[Chromium]:
    """A browser without network for as long as the block lasts; raises :class:`BrowserError` if there is none."""
    found = program()
    if found is None:
        raise BrowserError("no Chromium is on the path: install one (apt-get install chromium), or read _build/html in your own browser")
    to_read, to_write = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # It reads commands from descriptor 3 and answers on 4, whatever numbers these pipes have here.
        shell = f'exec "$@" 3<&{to_read[0]} 4>&{to_write[1]}'
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", found, *_OPTIONS, f"--user-data-dir={profile}"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(to_read[0], to_write[1]), start_new_session=True,
        )  # fmt: skip
        os.close(to_read[0])
        os.close(to_write[1])
        try:
            yield Chromium(to_read[1], to_write[0])
        finally:
            _end(process, to_read[1])
            os.close(to_write[0])


def _end(process: subprocess.Popen[bytes], commands: int) -> None:
    """A browser whose commands end goes; one that does not is stopped with all that it started."""
    os.close(commands)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


class Chromium:
    """A browser at work; ``commands`` and ``answers`` are the ends of its two pipes."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._tabs: dict[str, Tab] = {}
        self._sent = 0
        self._read = b""

    def tab(self, width: int, height: int = 900) -> Tab:
        """A new tab of that many pixels."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        tab.resize(width, height)
        return tab

    def call(self, method: str, parameters: Mapping[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """One command and its answer; what happens meanwhile goes to the tab where it happens. Raises :class:`BrowserError`."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": dict(parameters or {}), **({"sessionId": session} if session else {})}
        try:
            left = json.dumps(message).encode() + b"\0"
            while left:
                left = left[os.write(self._commands, left) :]
        except OSError:
            raise BrowserError("Chromium has ended: does it start by hand, with --headless?") from None
        end = time.monotonic() + _PATIENCE
        while (answer := self.receive(end)).get("id") != message["id"]:
            pass
        if "error" in answer:
            raise BrowserError(f"Chromium refuses {method}: {answer['error'].get('message')}")
        return answer.get("result", {})

    def receive(self, end: float) -> dict[str, Any]:
        """The next message, until a time of the monotonic clock."""
        while b"\0" not in self._read:
            if not select.select([self._answers], [], [], max(0.0, end - time.monotonic()))[0]:
                raise BrowserError(f"Chromium did not answer within {_PATIENCE:.0f} s (is the machine busy?)")
            more = os.read(self._answers, 1 << 20)
            if not more:
                raise BrowserError("Chromium has ended: does it start by hand, with --headless?")
            self._read += more
        line, _, self._read = self._read.partition(b"\0")
        message = json.loads(line)
        if tab := self._tabs.get(message.get("sessionId", "")):
            tab.hear(message)
        return message


class Tab:
    """One tab. ``errors``: what a reader of its console would see as such since the last :meth:`open`."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session
        self.errors: list[str] = []
        self._loaded = False

    def call(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A command to this tab."""
        return self._browser.call(method, parameters, self._session)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Note what happened in the tab."""
        what, about = message.get("method"), message.get("params", {})
        if what == "Page.loadEventFired":
            self._loaded = True
        elif what == "Runtime.exceptionThrown":
            thrown = about["exceptionDetails"]
            self.errors.append(str(thrown.get("exception", {}).get("description") or thrown["text"]).splitlines()[0])
        elif what == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(each.get("value", each.get("description", ""))) for each in about["args"]))
        elif what == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}".strip())

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded. Raises :class:`BrowserError` for one that cannot be."""
        self._loaded = False
        self.errors.clear()
        if failed := self.call("Page.navigate", {"url": url}).get("errorText"):
            raise BrowserError(f"{url} cannot be opened: {failed}")
        end = time.monotonic() + _PATIENCE
        while not self._loaded:
            self._browser.receive(end)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise. Raises :class:`BrowserError` with what it throws."""
        found = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in found:
            thrown = found["exceptionDetails"]
            raise BrowserError(str(thrown.get("exception", {}).get("description") or thrown["text"]).splitlines()[0])
        return found["result"].get("value")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the tab a size in pixels; a narrow one is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", size)

    def screenshot(self) -> bytes:
        """What the tab shows, as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", {"format": "png"})["data"])

    def print(self, path: Path, **options: Any) -> None:
        """Write the tab as a PDF; options as of ``Page.printToPDF``."""
        stream = self.call("Page.printToPDF", {**options, "transferMode": "ReturnAsStream"})["stream"]
        aside = path.with_suffix(".partial")
        with aside.open("wb") as file:
            while True:
                part = self.call("IO.read", {"handle": stream, "size": 1 << 20})
                data = part["data"]
                file.write(base64.b64decode(data) if part.get("base64Encoded") else data.encode())
                if part["eof"]:
                    break
        self.call("IO.close", {"handle": stream})
        aside.replace(path)
