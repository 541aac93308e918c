"""browser.py BROWSER PROGRAMS: drives a Chromium over its debugging pipe and lets its own WebSocket talk to our servers.

The scripts run in pages of the server itself: a page of another origin would be refused, as it should. Prints a line a case and a summary; exits with 0, 1, or 77 if
the browser does not start.
"""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

HELPERS = """
const dial = (path = '/') => new Promise((resolve, reject) => {
  const socket = new WebSocket(location.origin.replace('http', 'ws') + path);
  socket.binaryType = 'arraybuffer';
  socket.received = [];
  socket.wanted = [];
  socket.onmessage = event => socket.wanted.length ? socket.wanted.shift()(event.data) : socket.received.push(event.data);
  socket.closed = new Promise(done => socket.onclose = event => done([event.code, event.reason, event.wasClean]));
  socket.next = () => new Promise(done => socket.received.length ? done(socket.received.shift()) : socket.wanted.push(done));
  socket.onopen = () => resolve(socket);
  socket.onerror = () => reject(new Error('cannot connect'));
});
const same = (left, right) => {
  const a = new Uint8Array(left), b = new Uint8Array(right);
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
};
const pattern = size => new Uint8Array(size).map((_, i) => i * 7 + (i >> 8));
"""

# Name, script, what it must return.
ECHOES = [
    ("text comes back", "const s = await dial(); const said = ['hello', '', 'zwölf 🦀', 'x'.repeat(70000)]; const heard = [];"
     "for (const text of said) { s.send(text); heard.push(await s.next()); } s.close(); await s.closed; return heard.every((text, i) => text === said[i])", True),
    ("binary comes back", "const s = await dial(); for (const size of [0, 1, 125, 126, 65535, 65536, 1000000]) { s.send(pattern(size)); const echo = await s.next();"
     "if (!(echo instanceof ArrayBuffer) || !same(echo, pattern(size))) return size } s.close(); await s.closed; return 'all'", "all"),
    ("16 MiB come back", "const s = await dial(); const all = pattern(16 << 20); s.send(all); const echo = await s.next(); s.close(); await s.closed;"
     "return [echo.byteLength, same(echo, all)]", [16 << 20, True]),
    ("many messages keep their order", "const s = await dial(); for (let i = 0; i < 5000; i++) s.send(String(i)); for (let i = 0; i < 5000; i++) if (await s.next() !== String(i)) return i;"
     "s.close(); await s.closed; return 'all'", "all"),
    ("200 connections at once", "const all = await Promise.all(Array.from({length: 200}, () => dial())); all.forEach((s, i) => s.send('number ' + i));"
     "const heard = await Promise.all(all.map(s => s.next())); all.forEach(s => s.close(1000)); const ends = await Promise.all(all.map(s => s.closed));"
     "return [heard.every((text, i) => text === 'number ' + i), ends.every(end => end[0] === 1000 && end[2])]", [True, True]),
    ("a close without a status", "const s = await dial(); s.close(); return await s.closed", [1005, "", True]),
    ("a close with status and reason", "const s = await dial(); s.close(3001, 'bye'); return await s.closed", [3001, "", True]),
    ("the largest status", "const s = await dial(); s.close(4999); return await s.closed", [4999, "", True]),
    ("a page that goes away", "const frame = document.createElement('iframe'); frame.src = location.href; document.documentElement.append(frame); await new Promise(done => frame.onload = done);"
     "const socket = new frame.contentWindow.WebSocket(location.origin.replace('http', 'ws')); await new Promise(done => socket.onopen = done); frame.remove(); return 'gone'", "gone"),
]


class Browser:
    """One Chromium, and the messages of its debugging protocol, each ended by a NUL."""

    def __init__(self, program, profile):
        to_browser, self.writer = os.pipe()
        self.reader, from_browser = os.pipe()
        for end in (to_browser, from_browser):
            os.set_inheritable(end, True)

        def set_up():
            # The protocol wants 3 and 4. Above them first, so that neither is overwritten.
            high = [os.dup2(end, number) for end, number in ((to_browser, 100), (from_browser, 101))]
            os.dup2(high[0], 3), os.dup2(high[1], 4)

        arguments = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
                     f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(arguments, preexec_fn=set_up, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser), os.close(from_browser)
        self.rest, self.number = b"", 0

    def receive(self, deadline):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.reader], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.reader, 1 << 20) if ready else b""
            if not piece:
                raise TimeoutError("the browser does not answer")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, seconds=60, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, url):
        """A page of its own; returns its session."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.navigate", session, url=url)
        self.until(session, f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
        return session

    def run(self, session, script, seconds=60):
        result = self.call("Runtime.evaluate", session, seconds, expression=f"(async () => {{ {script} }})()", awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        return result["result"].get("value")

    def until(self, session, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not self.run(session, f"return {condition}"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.02)

    def close(self):
        self.process.kill()
        self.process.wait()


class Server:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().removeprefix("listening on ").strip().replace("ws", "http", 1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


class Cases:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, expected, body):
        try:
            seen = body()
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
            seen = error
        good = not isinstance(seen, Exception) and seen == expected
        self.passed, self.failed = self.passed + good, self.failed + (not good)
        print(f"{'ok' if good else 'not ok'} - {name}" + ("" if good else f": {seen}, expected {expected}"), flush=True)


def echo(cases, browser, programs, mode):
    server = Server(programs / "echo_server", "--port", "0", "--mode", mode)
    page = browser.open(server.url)
    for name, script, expected in ECHOES:
        cases.check(f"{mode}: {name}", expected, lambda script=script: browser.run(page, HELPERS + script))
    cases.check(f"{mode}: the server goes away", [[1001, True]] * 20, lambda: stop_under(browser, page, server))
    cases.check(f"{mode}: the server ends well", 0, lambda: server.process.wait(timeout=20))


def stop_under(browser, page, server):
    """Twenty connections are open when it is asked to stop: each is told 1001."""
    browser.run(page, HELPERS + "window.open20 = await Promise.all(Array.from({length: 20}, () => dial()))")
    server.process.send_signal(signal.SIGTERM)
    return browser.run(page, "return (await Promise.all(open20.map(s => s.closed))).map(end => [end[0], end[2]])")


def chat(cases, browser, programs):
    server = Server(programs / "chat_server", "--port", "0")
    said = "Array.from(document.querySelectorAll('#said li'), item => item.textContent)"
    pages = []

    def enter(number):
        pages.append(browser.open(server.url))
        browser.until(pages[-1], f"{said}.includes('[{number}] came')")
        return True

    def say(page, text):
        browser.run(pages[page], f"line.value = {json.dumps(text)}; document.getElementById('say').requestSubmit()")
        for other in pages:
            browser.until(other, f"{said}.includes('[{page + 1}]: ' + {json.dumps(text)})")
        return browser.run(pages[0], "return document.querySelectorAll('#said b').length")

    cases.check("chat: the first comes", True, lambda: enter(1))
    cases.check("chat: the second comes", True, lambda: enter(2))
    cases.check("chat: everybody hears the first", 0, lambda: say(0, "hello, zwölf 🦀"))
    cases.check("chat: everybody hears the second, as text", 0, lambda: say(1, "<b>bold</b>"))
    cases.check("chat: there is one page", 404, lambda: browser.run(pages[0], "return (await fetch('/elsewhere')).status"))
    cases.check("chat: who says too much is closed", [1009, True], lambda: browser.run(pages[0], HELPERS + "const s = await dial(); s.send('x'.repeat(5000));"
                                                                                     "const end = await s.closed; return [end[0], end[2]]"))
    server.process.send_signal(signal.SIGTERM)
    for page in range(2):
        cases.check(f"chat: page {page + 1} is told the end", None, lambda page=page: browser.until(pages[page], f"{said}.some(text => text.startsWith('closed 1001'))"))
    cases.check("chat: the server ends well", 0, lambda: server.process.wait(timeout=20))


def main():
    program, programs, cases = sys.argv[1], pathlib.Path(sys.argv[2]), Cases()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            version = browser.call("Browser.getVersion", seconds=60)["product"]
        except (TimeoutError, OSError):
            print(f"browser: {program} does not start here")
            return 77
        try:
            for mode in ("blocking", "loop"):
                echo(cases, browser, programs, mode)
            chat(cases, browser, programs)
        finally:
            browser.close()
    print(f"{version}: {cases.passed} passed, {cases.failed} failed")
    return 0 if cases.failed == 0 and cases.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
