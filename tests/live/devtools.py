"""A page in a headless Chromium that a test can look at and act on, by the DevTools protocol over pipes."""

import json
import os
import subprocess
from contextlib import contextmanager

QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1")
PATIENCE_S = 120


class Page:
    """A page; `requests` has the URLs that it asked for."""

    def __init__(self, send_to, read_from):
        self._send_to, self._read_from, self._last = send_to, read_from, 0
        self._session = None
        self.requests = []

    def open(self, url):
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Network.enable")
        self._call("Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False)
        self._call("Page.enable")
        self._call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of an expression, of a promise what becomes of it."""
        done = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, condition):
        """Wait until an expression holds."""
        again = f"const look = () => {condition} ? done(true) : setTimeout(look, 50)"
        late = f"setTimeout(() => done(false), {PATIENCE_S * 1000})"
        assert self.evaluate(f"new Promise(done => {{ {again}; look(); {late} }})"), f"never so: {condition}"

    def mouse(self, kind, x, y, **more):
        """Move, press or release the mouse: `mouseMoved`, `mousePressed`, `mouseReleased`."""
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def _call(self, method, **parameters):
        self._last += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._last, "method": method, "params": parameters, **session}
        self._send_to.write(json.dumps(message).encode() + b"\0")
        self._send_to.flush()
        while True:
            answer = json.loads(self._message())
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]

    def _message(self):
        message = bytearray()
        while (byte := self._read_from.read(1)) != b"\0":
            assert byte, "the browser went away"
            message += byte
        return message


@contextmanager
def page_in(browser, profile, url):
    """A page in a browser of its own, which ends with the block."""
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    argv = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", browser, *QUIET]
    argv += ["--remote-debugging-pipe", f"--user-data-dir={profile}"]
    with (
        os.fdopen(from_us, "wb") as send_to,
        os.fdopen(to_us, "rb") as read_from,
        subprocess.Popen(
            argv, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process,
    ):
        os.close(to_browser)
        os.close(from_browser)
        try:
            page = Page(send_to, read_from)
            page.open(url)
            yield page
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
