"""``qpmask serve`` of a large mask in a real Chromium: first picture, a class, tiles, memory.

A mask of 100,000 x 100,000 pixels with 1,000 round objects is written first (no QuPath needed),
then served by a process of its own::

    python tests/benchmarks/web.py [SIDE] [MINUTES OF PANNING]
"""

from __future__ import annotations

import http.client
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import sync_playwright

from qpmask import MaskWriter

_WHOLE = (
    "() => window.qpmask?.view?.panes[0]?.isOpen && window.qpmask.view.panes[0].shown "
    "&& window.qpmask.view.panes[0].isWhole"
)


def make_mask(path: Path, side: int, n: int = 1000) -> None:
    """Discs of five classes all over a mask; they cover about a third of it."""
    rng = np.random.default_rng(0)
    radius = int(side * np.sqrt(0.35 / n / np.pi))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = x * x + y * y <= radius * radius
    with MaskWriter(
        path, side, side, classes={f"Class {k}": k for k in range(1, 6)}, mpp=0.25
    ) as w:
        for k in range(n):
            left, top = (int(v) for v in rng.integers(0, side - 2 * radius - 1, 2))
            w.write(left, top, np.where(disc, 1 + k % 5, 0).astype(np.uint8), where=disc)


def resident_mb(pid: int) -> float:
    """Memory of a process now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def tile_seconds(url: str, n: int = 30, at_once: int = 6) -> float:
    """Seconds until 30 different tiles of level 0 have come, six at a time, as a browser asks."""
    parts = urlsplit(url)

    def take(tiles: range) -> None:
        link = http.client.HTTPConnection(parts.netloc, timeout=30)
        for k in tiles:
            link.request("GET", f"{parts.path}api/images/0/mask/0/0/{20 + k % 6}/{20 + k // 6}")
            answer = link.getresponse()
            answer.read()
            assert answer.status == 200
        link.close()

    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(take, (range(k, n, at_once) for k in range(at_once))))
    return time.perf_counter() - start


def in_browser(url: str, minutes: float, pid: int) -> dict[str, float]:
    """What a user waits for, and the server's memory while the view moves about."""
    found: dict[str, float] = {}
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page: Any = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.locator(".card").first.wait_for()
        found["first"] = page.evaluate(
            "async () => { const start = performance.now(); location.hash = 'image=0';"
            f"const whole = {_WHOLE};"
            "while (!whole()) await new Promise(requestAnimationFrame);"
            "return (performance.now() - start) / 1000; }"
        )
        found["class"] = max(
            page.evaluate(
                "async () => { const start = performance.now();"
                "document.querySelector('[aria-label=\"Show Class 1\"]').click();"
                "await new Promise((done) => requestAnimationFrame(() => "
                "requestAnimationFrame(done)));"
                "return (performance.now() - start) / 1000; }"
            )
            for _ in range(6)
        )
        rng = np.random.default_rng(1)
        size = page.evaluate("() => window.qpmask.view.image.width")
        end, most, views = time.monotonic() + 60 * minutes, resident_mb(pid), 0
        while time.monotonic() < end:
            x, y = (rng.random(2) * size).tolist()
            d = float(2 ** rng.uniform(-1, 7))
            page.evaluate(f"() => window.qpmask.view.panes[0].goTo({{x: {x}, y: {y}, d: {d}}})")
            page.wait_for_function(_WHOLE)
            page.wait_for_timeout(50)
            most, views = max(most, resident_mb(pid)), views + 1
        found |= {"memory": most, "views": float(views)}
        browser.close()
    return found


def twenty_viewers(url: str) -> tuple[float, int]:
    """Seconds that 20 viewers at once take for 30 tiles each, and how many failed."""
    failed: list[BaseException] = []

    def look() -> None:
        try:
            tile_seconds(url)
        except BaseException as error:
            failed.append(error)

    start = time.perf_counter()
    viewers = [threading.Thread(target=look) for _ in range(20)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    return time.perf_counter() - start, len(failed)


def main() -> None:
    """Print what was found."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    with tempfile.TemporaryDirectory() as scratch:
        mask = Path(scratch) / "large.ome.tif"
        make_mask(mask, side)
        server = subprocess.Popen([sys.executable, "-m", "qpmask", "serve", str(mask)],
                                  stdout=subprocess.PIPE, text=True)  # fmt: skip
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            found = in_browser(url, minutes, server.pid)
            tiles = tile_seconds(url)
            many, failed = twenty_viewers(url)
        finally:
            server.terminate()
            server.wait()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; "
          f"mask of {side:,} x {side:,}")  # fmt: skip
    print(f"first picture after the image is opened: {found['first']:.2f} s")
    print(f"a class switched: {found['class']:.3f} s (slowest of 6)")
    print(f"30 tiles, six at a time: {tiles:.2f} s")
    print(f"20 viewers with 30 tiles each: {many:.1f} s, {failed} failed")
    print(f"server's memory at most, {found['views']:.0f} views in {minutes:g} minutes: "
          f"{found['memory']:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
