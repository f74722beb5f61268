#!/usr/bin/env python3
"""Looks at the page of `offboard evidence` in a real browser: is there something to see, and does it fit?

    apt-get install chromium                          # or CHROMIUM=/path/to/a/chromium
    pip install -r e2e/common/requirements.txt
    cargo build && python e2e/evidence/check.py target/debug/offboard [FOLDER FOR THE SCREENSHOTS]

Everything is on loopback, on free ports. The page runs no script; what measures it is a page around it.
"""

import functools
import html
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback

from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "operator"))
import sample  # noqa: E402
from world import World  # noqa: E402

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "chrome"]
PATIENCE = 120  # seconds
WIDTHS = [1200, 800, 390]
# What is wider than the page, or than the cell that it stands in.
MEASURE = """<!doctype html><pre id="measured"></pre>
<iframe src="PAGE" style="width: WIDTHpx; height: 1000px; border: 0" onload="measure(this)"></iframe>
<script>
function measure(frame) {
  const page = frame.contentDocument, width = page.documentElement.clientWidth;
  const all = [...page.body.querySelectorAll("*")].filter((one) => one.getClientRects().length);
  const wide = all.filter((one) => one.getBoundingClientRect().right > width + 1 || one.scrollWidth > one.clientWidth + 1 && one.clientWidth);
  document.getElementById("measured").textContent = JSON.stringify({
    width, scrolls: page.documentElement.scrollWidth > width, elements: all.length,
    wide: wide.map((one) => one.tagName + "." + one.className + " " + one.textContent.slice(0, 60)),
  });
}
</script>"""


class Browser:
    def __init__(self, folder):
        named = os.environ.get("CHROMIUM")
        self.path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
        assert self.path, f"no browser: install one of {', '.join(BROWSERS)}, or set CHROMIUM"
        self.folder = folder
        quiet = functools.partial(Quiet, directory=folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), quiet)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def run(self, *arguments):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [self.path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            command += [f"--user-data-dir={profile}", "--hide-scrollbars", *arguments]
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def measure(self, page, width):
        wrapper = MEASURE.replace("PAGE", page).replace("WIDTH", str(width))
        (self.folder / "measure.html").write_text(wrapper)
        dom = self.run("--virtual-time-budget=10000", "--dump-dom", f"{self.url}/measure.html")
        return json.loads(html.unescape(re.search(r'<pre id="measured">(.*?)</pre>', dom, re.S)[1]))

    def screenshot(self, page, width, path):
        self.run(f"--screenshot={path}", f"--window-size={width},1600", f"{self.url}/{page}")
        return Image.open(path).convert("RGB")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def fits(browser, page, width):
    measured = browser.measure(page, width)
    assert measured["width"] == width and measured["elements"] > 20, measured
    assert not measured["scrolls"] and not measured["wide"], measured


def shows(browser, page, width, path):
    image = browser.screenshot(page, width, path)
    assert image.width == width, image.size
    pixels = image.width * image.height
    colours = image.getcolors(pixels)
    blank = max(count for count, _ in colours) / pixels
    assert blank < 0.99 and len(colours) > 50, f"{blank:.3f} of the page is one colour, of {len(colours)}"
    # Words down to where the window ends: a page of many departures is longer than that.
    ink = image.convert("L").point(lambda light: 255 if light < 128 else 0).getbbox()
    assert ink and ink[0] < width / 4 and ink[2] > width / 2 and (page != "full.html" or ink[3] > 1500), ink


def prints(browser, page, path):
    browser.run("--no-pdf-header-footer", f"--print-to-pdf={path}", f"{browser.url}/{page}")
    assert path.read_bytes().startswith(b"%PDF-") and path.stat().st_size > 10_000, path.stat()


def pages(world, folder):
    """A page of many departures, and one of none."""
    assert world.run("evidence", "--since", "30d", "--html", folder / "empty.html").code == 0
    sample.fill(world)
    assert world.run("evidence", "--since", "30d", "--html", folder / "full.html").code == 1


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    world = World(sys.argv[1])
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else world.path / "pages").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    try:
        pages(world, folder)
        browser = Browser(folder)
        checks = [
            (f"{page}, {width} pixels wide, is fit", functools.partial(fits, browser, page, width))
            for page in ("full.html", "empty.html")
            for width in WIDTHS
        ]
        for page in ("full", "empty"):
            shot = functools.partial(shows, browser, f"{page}.html", 1200, folder / f"{page}.png")
            paper = functools.partial(prints, browser, f"{page}.html", folder / f"{page}.pdf")
            checks += [(f"{page}.html is to be seen", shot), (f"{page}.html prints", paper)]
        for name, check in checks:
            try:
                check()
                passed += 1
                print(f"passed: {name}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED: {name}\n{traceback.format_exc()}", flush=True)
    finally:
        world.end()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
