"""The page in a real Chromium: what is shown where, exact to the pixel; keys, links, comparing."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from web.web_samples import COLORS, blocks, write

import qpmask
from qpmask.web import Server, serve

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

LABELS = blocks()
BY_LABEL = {1: COLORS["Tumor"], 2: COLORS["Stroma"], 7: COLORS["Necrosis"]}
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH, HEIGHT = 1100, 700
Open = Callable[..., Any]


# Not of the session: while it lives, its thread has a running event loop, which others must not.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Open an address; a fault of the page is a failure of the test."""
    pages: list[Any] = []
    faults: list[str] = []

    def opened(
        url: str, width: int = WIDTH, height: int = HEIGHT, *, expects_errors: bool = False
    ) -> Any:
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.on("pageerror", lambda error: faults.append(str(error)))
        if not expects_errors:
            page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.set_default_timeout(20_000)
        page.goto(url)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not faults


@pytest.fixture(scope="module")
def two_readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("web")
    other = LABELS.copy()
    other[101:400, 203:600] = 2
    write(folder / "first" / "block.ome.tif", LABELS)
    write(folder / "second" / "block.ome.tif", other)
    with serve(folder / "first", folder / "second") as server:
        yield server


@pytest.fixture
def with_slide(tmp_path: Path) -> Iterator[Server]:
    write(tmp_path / "masks" / "block.ome.tif", LABELS)
    (tmp_path / "slides").mkdir()
    picture = np.full((*LABELS.shape, 3), (230, 180, 210), np.uint8)
    picture[:, 1400:] = (120, 60, 150)
    tifffile.imwrite(tmp_path / "slides" / "block.tif", picture, tile=(256, 256),
                     photometric="rgb")  # fmt: skip
    with serve(tmp_path / "masks", slides=tmp_path / "slides") as server:
        yield server


def whole(page: Any) -> None:
    """Wait until all labels that are seen are there and counted."""
    page.wait_for_function(
        "() => window.qpmask?.view?.panes.length && window.qpmask.view.panes.every("
        "(pane) => pane.isOpen && pane.shown && pane.isWhole)"
    )
    page.wait_for_timeout(250)


def shown(page: Any, number: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    """Pixels of a pane as the screen has them, and its view: corner and step in image pixels."""
    whole(page)
    box = page.locator(".pane").nth(number).bounding_box()
    png = page.screenshot(clip=box)
    view = page.evaluate(f"() => window.qpmask.view.panes[{number}].view()")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), view


def go_to(page: Any, x: float, y: float, d: float) -> None:
    page.evaluate(f"() => window.qpmask.view.panes[0].goTo({{x: {x}, y: {y}, d: {d}}})")


def expected(view: dict[str, Any], labels: np.ndarray = LABELS) -> tuple[np.ndarray, np.ndarray]:
    """The label that each pixel of the screen should show, and which pixels lie in the image."""
    step = view["step"]
    x = np.floor(view["x"] + (np.arange(view["width"]) + 0.5) * step).astype(int)
    y = np.floor(view["y"] + (np.arange(view["height"]) + 0.5) * step).astype(int)
    level = 2 ** max(0, int(np.floor(np.log2(step * (1 + 1e-9)))))
    inside = ((y >= 0) & (y < labels.shape[0]))[:, None] & ((x >= 0) & (x < labels.shape[1]))
    at_y = np.clip(y // level * level, 0, labels.shape[0] - 1)
    at_x = np.clip(x // level * level, 0, labels.shape[1] - 1)
    return labels[np.ix_(at_y, at_x)], inside


def state(page: Any) -> str:
    return str(page.evaluate("() => location.hash"))


class TestPixels:
    @pytest.mark.parametrize("d", [0.5, 1.0, 3.7])
    def test_labels_have_their_colours_and_nothing_else(
        self, two_readers: Server, open_page: Open, d: float
    ) -> None:
        page = open_page(f"{two_readers.url}#image=0&x=820&y=640&d={d}&fade=1")
        pixels, view = shown(page)
        labels, inside = expected(view)
        assert view["step"] == pytest.approx(d, rel=0.01)
        for label, color in BY_LABEL.items():
            wanted = inside & (labels == label)
            wanted[:40, :300] = wanted[-60:, :] = False  # the names and the bar upon it
            assert wanted.any()
            assert np.array_equal(np.unique(pixels[wanted], axis=0), [color]), (d, label)
        background = inside & (labels == 0)
        background[:40, :300] = background[-60:, :] = False
        assert np.array_equal(np.unique(pixels[background], axis=0), [(255, 255, 255)])

    def test_the_slide_lies_under_it(self, with_slide: Server, open_page: Open) -> None:
        page = open_page(f"{with_slide.url}#image=0&x=1050&y=750&d=2&fade=0.5")
        pixels, view = shown(page)

        def at(x: int, y: int) -> np.ndarray:
            row, col = (int((v - view[c]) / view["step"]) for v, c in ((y, "y"), (x, "x")))
            return pixels[row, col]

        assert np.allclose(at(600, 1300), (230, 180, 210), atol=3)
        assert np.allclose(at(1700, 250), (120, 60, 150), atol=3)
        blend = (np.array(COLORS["Tumor"]) + np.array((230, 180, 210))) / 2
        assert np.allclose(at(400, 500), blend, atol=3)
        page.keyboard.press("l")
        pixels, view = shown(page)
        assert np.allclose(at(600, 1300), 255)

    def test_the_difference_of_two_masks(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(f"{two_readers.url}#image=0&x=400&y=250&d=1&fade=1&with=0,1,difference")
        pixels, view = shown(page)
        wanted = np.zeros_like(LABELS)
        wanted[101:400, 203:600] = 1
        wanted[450:600, 300:600] = 2
        places, _ = expected(view, wanted)
        differs = places == 1
        differs[:40] = differs[-60:] = False
        colors = np.unique(pixels[differs], axis=0)
        assert {tuple(c) for c in colors.tolist()} == {COLORS["Tumor"], COLORS["Stroma"]}
        same = places == 2
        same[-60:] = False
        assert same.any()
        assert np.array_equal(np.unique(pixels[same], axis=0), [(255, 255, 255)])
        figures = page.locator(".figures")
        figures.get_by_text("pixels differ").wait_for()
        assert f"{299 * 397:,} of" in figures.inner_text()

    def test_side_by_side(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(f"{two_readers.url}#image=0&x=400&y=250&d=1&fade=1&with=0,1,side")
        for number, color in ((0, COLORS["Tumor"]), (1, COLORS["Stroma"])):
            pixels, view = shown(page, number)
            at = int((250 - view["y"]) / view["step"]), int((400 - view["x"]) / view["step"])
            assert tuple(pixels[at].tolist()) == color
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(700)
        one, other = (shown(page, n)[1] for n in (0, 1))
        assert one["x"] == pytest.approx(other["x"], abs=1)
        assert one["x"] > 0

    def test_a_saved_picture(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(f"{two_readers.url}#image=0&x=400&y=300&d=1&fade=1")
        pixels, _ = shown(page)
        with page.expect_download() as waiting:
            page.keyboard.press("s")
        saved = np.asarray(Image.open(waiting.value.path()).convert("RGB"))
        assert waiting.value.suggested_filename == "block.png"
        assert saved.shape == pixels.shape
        assert np.array_equal(saved[100:400, 250:500], pixels[100:400, 250:500])


class TestClasses:
    def test_a_class_is_switched_without_a_request(
        self, two_readers: Server, open_page: Open
    ) -> None:
        page = open_page(f"{two_readers.url}#image=0&x=400&y=300&d=1&fade=1")
        whole(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_label("Show Tumor").first.click()
        pixels, _ = shown(page)
        assert not (pixels == COLORS["Tumor"]).all(axis=2).any()
        page.get_by_label("Show Tumor").first.click()
        page.get_by_label("Colour of Tumor").first.fill("#123456")
        pixels, _ = shown(page)
        assert (pixels == (0x12, 0x34, 0x56)).all(axis=2).any()
        assert not asked

    def test_shares_are_of_what_is_shown(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(f"{two_readers.url}#image=0&fade=1")
        whole(page)
        tumor = page.locator("tr[data-label='1'] .share").first
        share = 100 * np.count_nonzero(LABELS == 1) / LABELS.size
        assert float(tumor.inner_text().split()[0]) == pytest.approx(share, abs=0.3)
        go_to(page, 400, 250, 0.2)
        page.wait_for_timeout(300)
        whole(page)
        assert tumor.inner_text() == "100.0 %"

    def test_the_class_under_the_pointer(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(f"{two_readers.url}#image=0&x=400&y=250&d=1&fade=1")
        _, view = shown(page)
        box = page.locator(".pane").bounding_box()
        page.mouse.move(box["x"] + 400 - view["x"], box["y"] + 250 - view["y"])
        text = page.locator(".here").inner_text()
        assert text.startswith("Tumor (1)")
        assert "x 400" in text
        assert "y 250" in text
        assert "(200.0, 125.0 µm)" in text

    def test_objects_by_class_or_by_object(
        self, demo: Path, tmp_path: Path, open_page: Open
    ) -> None:
        options = qpmask.export_options(engine="native", images=("1",), instances=True)
        qpmask.export_masks(demo, tmp_path / "out", None, options)
        with serve(tmp_path / "out") as server:
            page = open_page(f"{server.url}#image=0&fade=1")
            by_class, _ = shown(page)
            page.get_by_role("button", name="By object").click()
            by_object, _ = shown(page)
            colors = [len(np.unique(p.reshape(-1, 3), axis=0)) for p in (by_class, by_object)]
            assert min(colors) > 4
            assert not np.array_equal(by_class, by_object)
            assert "by=instance" in state(page)


class TestKeysAndLinks:
    def test_all_of_it_by_keyboard(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(two_readers.url)
        page.locator(".card a").first.wait_for()
        for _ in range(8):
            page.keyboard.press("Tab")
            if page.evaluate("() => document.activeElement.closest('.card') !== null"):
                break
        page.keyboard.press("Enter")
        whole(page)
        page.keyboard.press("1")
        assert "off=0:1" in state(page)
        page.keyboard.press("1")
        page.keyboard.press("o")
        assert "line=1" in state(page)
        before = page.evaluate("() => window.qpmask.view.panes[0].place")
        page.keyboard.press("+")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(800)
        after = page.evaluate("() => window.qpmask.view.panes[0].place")
        assert after["d"] < before["d"]
        assert after["x"] > before["x"]
        page.keyboard.press("[")
        assert "fade=0.9" in state(page)
        page.keyboard.press(" ")
        assert page.evaluate("() => window.qpmask.view.panes[0].over.style.opacity") == "0"
        page.keyboard.press("d")
        assert "difference" in state(page)
        page.keyboard.press("Escape")
        page.locator(".card").first.wait_for()

    def test_a_link_opens_the_same_view(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(f"{two_readers.url}#image=0")
        whole(page)
        page.keyboard.press("2")
        page.keyboard.press("+")
        page.keyboard.press("+")
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(800)
        pixels, _ = shown(page)
        other = open_page(page.url)
        again, _ = shown(other)
        assert np.mean((pixels != again).any(axis=2)) < 0.002

    @pytest.mark.parametrize(
        "words", ["image=99", "image=x&x=1e999&d=-3", "image=0&off=9:9&color=0:1:zz&with=0,7,side",
                  "image=0&patches=5,%25%25&on=77"],
    )  # fmt: skip
    def test_a_link_that_makes_no_sense(
        self, two_readers: Server, open_page: Open, words: str
    ) -> None:
        page = open_page(f"{two_readers.url}#{words}")
        page.wait_for_timeout(800)
        assert page.locator("#main").inner_text().strip() or page.locator(".pane").count()


class TestList:
    def test_search_and_order(self, tmp_path: Path, open_page: Open) -> None:
        few = np.where(LABELS == 2, 0, LABELS).astype(np.uint8)
        for name, labels in (("b", LABELS), ("a", few), ("c", np.zeros_like(LABELS))):
            path = write(tmp_path / f"{name}.ome.tif", labels)
            rows = [{"label": 2, "name": "Stroma", "color": "#00a028",
                     "pixels": int((labels == 2).sum()), "area_mm2": None}]  # fmt: skip
            path.with_name(path.name + ".json").write_text(json.dumps({"classes": rows}))
        with serve(tmp_path) as server:
            page = open_page(server.url)
            page.locator(".card h2").first.wait_for()
            assert page.locator(".card h2").all_inner_texts() == ["a", "b", "c"]
            page.get_by_label("Order").select_option("class Stroma")
            assert page.locator(".card h2").first.inner_text() == "b"
            page.get_by_label("Search images and classes").fill("stro")
            assert page.locator(".card h2").all_inner_texts() == ["b"]
            assert "1 of 3" in page.locator(".count").inner_text()
            page.wait_for_function("() => document.querySelector('.card img').naturalWidth > 0")

    def test_on_a_narrow_screen(self, two_readers: Server, open_page: Open) -> None:
        page = open_page(f"{two_readers.url}#image=0", width=400, height=700)
        whole(page)
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= 400
        pane = page.locator(".pane").bounding_box()
        assert pane["width"] > 380
        assert pane["height"] > 200

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_dark_and_light(self, two_readers: Server, chromium: Any, scheme: str) -> None:
        page = chromium.new_page(color_scheme=scheme)
        page.goto(two_readers.url)
        page.locator(".card").first.wait_for()
        color = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        page.close()
        light = int(color.split("(")[1].split(",")[0]) > 128
        assert light == (scheme == "light")


class TestWhileItIsLookedAt:
    def test_a_mask_that_is_made_again(self, tmp_path: Path, open_page: Open) -> None:
        path = write(tmp_path / "block.ome.tif", LABELS)
        with serve(tmp_path) as server:
            page = open_page(f"{server.url}#image=0&x=1600&y=800&d=1&fade=1", expects_errors=True)
            pixels, _ = shown(page)
            assert (pixels == COLORS["Stroma"]).all(axis=2).any()
            fresh = write(tmp_path / "new" / "block.ome.tif", np.full_like(LABELS, 1))
            fresh.replace(path)
            page.evaluate("() => window.qpmask.view.lookAgain()")
            page.get_by_text("made again").wait_for()
            pixels, _ = shown(page)
            assert (pixels[300:320, 300:320] == COLORS["Tumor"]).all()

    def test_a_damaged_tile_is_said(self, tmp_path: Path, open_page: Open) -> None:
        noise = np.random.default_rng(0).integers(0, 3, LABELS.shape).astype(np.uint8)
        path = write(tmp_path / "block.ome.tif", noise, compression="zlib")
        with tifffile.TiffFile(path) as tif:
            offset, n = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]
        with path.open("r+b") as file:
            file.seek(offset + n // 2)
            file.write(b"\0" * 64)
        with serve(path) as server:
            page = open_page(f"{server.url}#image=0&x=500&y=500&d=1", expects_errors=True)
            page.locator("#notes").get_by_text("block.ome.tif").first.wait_for()
            whole(page)
            assert page.locator(".pane").count() == 1

    def test_a_server_that_ended(self, tmp_path: Path, open_page: Open) -> None:
        write(tmp_path / "block.ome.tif", LABELS)
        server = serve(tmp_path)
        page = open_page(f"{server.url}#image=0&x=300&y=300&d=0.2", expects_errors=True)
        whole(page)
        server.close()
        go_to(page, 1700, 1300, 1)
        page.get_by_text("does not answer").first.wait_for()


class TestPatches:
    def test_a_patch_is_filled_by_the_share_of_its_class(
        self, demo: Path, tmp_path: Path, open_page: Open
    ) -> None:
        options = qpmask.patch_options(patch_size=256, target_mpp=1.0, engine="native")
        report = qpmask.make_patches(demo, tmp_path / "out", options)
        made = next(record for record in report if record.ok)
        with qpmask.open_patches(tmp_path / "out" / made.file) as patches:
            column = patches.classes.index("Stroma")
            best = int(patches.fractions[:, column].argmax())
            x, y = (int(v) for v in patches.coords[best])
            assert patches.fractions[best, column] > 0.8
            side = patches.patch_size_level0
        with serve(tmp_path / "out") as server:
            page = open_page(f"{server.url}#image=0&x={x}&y={y}&d=2&fade=0&patches=0,Stroma")
            whole(page)
            table = page.evaluate(
                "() => { const {table} = window.qpmask.view.patchLook();"
                "return [table.n, table.classes, [...table.corners.slice(0, 2)], table.size]; }"
            )
            assert table[0] == made.patches
            assert table[1][column] == "Stroma"
            assert table[3] == [side, side]
            filled, view = shown(page)
            page.get_by_label("Patches").select_option(label="not shown")
            bare, _ = shown(page)
            middle = [int((v + side / 2 - view[c]) / view["step"]) for v, c in ((y, "y"), (x, "x"))]
            assert not np.array_equal(filled[tuple(middle)], bare[tuple(middle)])
