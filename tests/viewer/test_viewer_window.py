"""The window, driven by events on a canvas that no one sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from mask_files import blobs, write, write_foreign
from matplotlib import pyplot
from matplotlib.backend_bases import KeyEvent, MouseEvent, ResizeEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from slides.slide_samples import gradient, write_slide

from qpmask.errors import OptionsError
from qpmask.geometry import Size
from qpmask.ometiff.reader import MaskFile
from qpmask.viewer import window as window_module
from qpmask.viewer.opening import open_scene
from qpmask.viewer.panel import WIDTH_PX, draw_panel
from qpmask.viewer.png import panel_text
from qpmask.viewer.scene import OUTSIDE, Scene
from qpmask.viewer.viewport import MAX_ZOOM
from qpmask.viewer.window import FirstView, MaskWindow, show

BASE = blobs(300, 500)
WHOLE = FirstView((0, 0, 500, 300))


@pytest.fixture
def mask_path(tmp_path: Path) -> Path:
    path = tmp_path / "mask.ome.tif"
    write(path, BASE)
    return path


@pytest.fixture
def scene(mask_path: Path) -> Iterator[Scene]:
    with open_scene(mask_path) as opened:
        yield opened


def a_window(scene: Scene, first: FirstView = WHOLE, inches: tuple[float, float] = (9, 4)) -> Any:
    figure = Figure(figsize=inches, dpi=100)
    # Without windows, matplotlib draws at once instead of when it has time.
    FigureCanvasAgg(figure).draw_idle = lambda: None
    return MaskWindow(scene, figure, first)


def drawn(window: MaskWindow) -> np.ndarray:
    """All pixels of the window, red, green, blue."""
    window.figure.canvas.draw()
    return np.asarray(window.figure.canvas.buffer_rgba())[:, :, :3].copy()


def press(window: MaskWindow, key: str) -> None:
    canvas = window.figure.canvas
    canvas.callbacks.process("key_press_event", KeyEvent("key_press_event", canvas, key))


def mouse(window: MaskWindow, name: str, x: float, y: float, **more: Any) -> None:
    canvas = window.figure.canvas
    canvas.callbacks.process(name, MouseEvent(name, canvas, x, y, **more))


def test_the_window_shows_exactly_what_is_read(scene: Scene) -> None:
    window = a_window(scene)
    pixels = drawn(window)
    assert pixels.shape == (400, 900, 3)
    picture = scene.picture(window.viewport)
    assert picture.viewport.out == Size(900 - WIDTH_PX, 400)
    np.testing.assert_array_equal(pixels[:, : 900 - WIDTH_PX], picture.pixels)
    panel = draw_panel(panel_text(scene, picture), picture.legend, height_px=400)
    np.testing.assert_array_equal(pixels[:, 900 - WIDTH_PX :], panel)


def test_all_of_the_mask_is_seen_first_in_the_middle(scene: Scene) -> None:
    view = a_window(scene).viewport
    assert view.x_px == pytest.approx(0)
    assert view.width_px == pytest.approx(500)
    assert view.y_px + view.height_px / 2 == pytest.approx(150)


@pytest.mark.parametrize("downsample", [None, 0.5, 2.0])
def test_a_region_is_seen_first(scene: Scene, downsample: float | None) -> None:
    view = a_window(scene, FirstView((100, 50, 80, 40), downsample)).viewport
    assert view.x_px + view.width_px / 2 == pytest.approx(140)
    assert view.y_px + view.height_px / 2 == pytest.approx(70)
    assert view.downsample == pytest.approx(downsample or max(80 / 560, 40 / 400))


@pytest.mark.parametrize(("key", "factor"), [("+", 1 / 1.5), ("=", 1 / 1.5), ("-", 1.5)])
def test_keys_that_zoom_keep_the_middle(scene: Scene, key: str, factor: float) -> None:
    window = a_window(scene, FirstView((100, 50, 80, 40)))
    before = window.viewport
    press(window, key)
    after = window.viewport
    assert after.downsample == pytest.approx(before.downsample * factor)
    assert after.x_px + after.width_px / 2 == pytest.approx(140)
    assert after.y_px + after.height_px / 2 == pytest.approx(70)


@pytest.mark.parametrize(
    ("key", "dx", "dy"),
    [("left", -0.25, 0), ("right", 0.25, 0), ("up", 0, -0.25), ("down", 0, 0.25)],
)
def test_arrows_move(scene: Scene, key: str, dx: float, dy: float) -> None:
    window = a_window(scene, FirstView((200, 100, 80, 40)))
    before = window.viewport
    press(window, key)
    after = window.viewport
    assert after.downsample == pytest.approx(before.downsample)
    assert after.x_px - before.x_px == pytest.approx(dx * before.width_px)
    assert after.y_px - before.y_px == pytest.approx(dy * before.height_px)


def test_home_shows_everything_again(scene: Scene) -> None:
    window = a_window(scene)
    before = window.viewport
    for key in ("+", "+", "right", "down", "home"):
        press(window, key)
    after = window.viewport
    assert (after.x_px, after.y_px, after.downsample) == pytest.approx(
        (before.x_px, before.y_px, before.downsample)
    )


@pytest.mark.parametrize("step", [1, -1, 3])
def test_the_wheel_zooms_about_the_mouse(scene: Scene, step: int) -> None:
    window = a_window(scene, FirstView((100, 50, 280, 200)))
    under = window.axes.transData.inverted().transform((150, 310))
    before = window.viewport.downsample
    mouse(window, "scroll_event", 150, 310, step=step)
    assert window.viewport.downsample == pytest.approx(before / 1.25**step)
    np.testing.assert_allclose(window.axes.transData.inverted().transform((150, 310)), under)


def test_one_cannot_get_lost(scene: Scene) -> None:
    window = a_window(scene)
    for _ in range(40):
        press(window, "-")
    assert window.viewport.width_px <= 4.1 * 500
    for _ in range(60):
        press(window, "+")
    assert window.viewport.downsample == pytest.approx(1 / MAX_ZOOM)
    for _ in range(3000):
        press(window, "left")
        press(window, "up")
    view = window.viewport
    assert 0 <= view.x_px + view.width_px / 2 < 1
    drawn(window)


def test_limits_that_the_toolbar_sets_are_followed(scene: Scene) -> None:
    """Its zoom and pan change the axes; the pixels are read again."""
    window = a_window(scene)
    drawn(window)
    window.axes.set_xlim(100, 180)
    window.axes.set_ylim(120, 80)
    pixels = drawn(window)
    view = window.viewport
    assert view.downsample == pytest.approx(80 / 560, rel=0.3)
    np.testing.assert_array_equal(pixels[:, :560], scene.picture(view).pixels)
    assert view.y_px <= 80 and view.y_px + view.height_px >= 120


def test_a_larger_window_shows_more_at_the_same_zoom(scene: Scene) -> None:
    window = a_window(scene, FirstView((200, 100, 80, 40)))
    drawn(window)
    before = window.viewport
    window.figure.set_size_inches(12, 6)
    canvas = window.figure.canvas
    canvas.callbacks.process("resize_event", ResizeEvent("resize_event", canvas))
    after = window.viewport
    assert after.out == Size(1200 - WIDTH_PX, 600)
    assert after.downsample == pytest.approx(before.downsample)
    assert after.x_px + after.width_px / 2 == pytest.approx(before.x_px + before.width_px / 2)
    pixels = drawn(window)
    np.testing.assert_array_equal(pixels[:, : 1200 - WIDTH_PX], scene.picture(after).pixels)


def test_a_window_that_opens_larger_than_planned_shows_all_that_it_should(scene: Scene) -> None:
    window = a_window(scene)
    window.figure.set_size_inches(12, 6)
    canvas = window.figure.canvas
    canvas.callbacks.process("resize_event", ResizeEvent("resize_event", canvas))
    assert window.viewport.width_px == pytest.approx(500)


def test_a_very_small_window_does_no_harm(scene: Scene) -> None:
    assert drawn(a_window(scene, inches=(1, 0.5))).shape == (50, 100, 3)


def test_a_finer_screen_and_a_saved_figure_get_finer_pixels(scene: Scene, tmp_path: Path) -> None:
    window = a_window(scene)
    drawn(window)
    window.figure.savefig(tmp_path / "a.png", dpi=200)
    from PIL import Image

    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1800, 800)
        pixels = np.asarray(image.convert("RGB"))
    finer = scene.picture(
        type(window.viewport)(
            window.viewport.x_px, window.viewport.y_px, window.viewport.downsample / 2,
            Size(2 * (900 - WIDTH_PX), 800),
        )
    )  # fmt: skip
    np.testing.assert_array_equal(pixels[:, : 2 * (900 - WIDTH_PX)], finer.pixels)


def test_space_and_brackets_change_the_masks_opacity(mask_path: Path, tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "slide.tif", gradient(300, 500))
    with open_scene(mask_path, slide_path=slide, opacity=0.5) as scene:
        window = a_window(scene)
        half = drawn(window)
        press(window, " ")
        assert scene.opacity == 0
        hidden = drawn(window)
        press(window, " ")
        assert scene.opacity == 0.5
        np.testing.assert_array_equal(drawn(window), half)
        assert (hidden[:, :560] != half[:, :560]).any()
        for _ in range(7):
            press(window, "]")
        assert scene.opacity == 1
        for _ in range(12):
            press(window, "[")
        assert scene.opacity == 0
        np.testing.assert_array_equal(drawn(window), hidden)
        press(window, " ")
        assert scene.opacity == 1, "something must come back"


def test_nothing_is_read_twice_for_the_same_view(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = a_window(scene)
    reads = []
    picture = scene.picture
    monkeypatch.setattr(scene, "picture", lambda view: (reads.append(view), picture(view))[1])
    drawn(window)
    drawn(window)
    assert len(reads) == 1
    press(window, "+")
    drawn(window)
    drawn(window)
    assert len(reads) == 2


def test_while_the_mouse_drags_a_slow_picture_moves_along(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_module, "_FAST_SECONDS", -1.0)
    window = a_window(scene, FirstView((100, 50, 280, 200)))
    before = drawn(window)[:, :560]
    old = window.picture
    mouse(window, "button_press_event", 200, 200, button=1)
    x0, x1 = window.axes.get_xlim()
    y1, y0 = window.axes.get_ylim()
    shift = 100 * window.viewport.downsample  # 100 pixels to the right, 50 down
    window.axes.set_xlim(x0 - shift, x1 - shift)
    window.axes.set_ylim(y1 - shift / 2, y0 - shift / 2)
    moved = drawn(window)[:, :560]
    assert window.picture is old
    np.testing.assert_array_equal(moved[50:, 100:], before[:-50, :-100])
    assert (moved[:50] == OUTSIDE).all() and (moved[:, :100] == OUTSIDE).all()
    mouse(window, "button_release_event", 300, 150, button=1)
    sharp = drawn(window)[:, :560]
    np.testing.assert_array_equal(sharp, scene.picture(window.viewport).pixels)


def test_the_class_under_the_mouse_is_named(scene: Scene) -> None:
    window = a_window(scene)
    y, x = np.argwhere(BASE == 2)[0]
    assert window.axes.format_coord(x + 0.5, y + 0.5) == f"Stroma (label 2)   x {x}  y {y}"
    assert window.axes.format_coord(-3, 0) == "outside the mask"


def test_a_damaged_tile_is_told_in_the_window_and_the_rest_can_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    write_foreign(path, BASE, n_levels=1)
    with MaskFile(path) as file:
        offset, count = (int(numbers[0]) for numbers in file.segments(0))
    raw = bytearray(path.read_bytes())
    raw[offset : offset + count] = bytes(count)
    path.write_bytes(raw)
    with open_scene(path) as scene:
        window = a_window(scene)
        drawn(window)
        assert window.problem is not None and "row 0, column 0" in window.problem
        assert "row 0, column 0" in window.axes.format_coord(3, 3)
        window.show_region((200, 100, 100, 80))
        pixels = drawn(window)
        assert window.problem is None
        np.testing.assert_array_equal(pixels[:, :560], scene.picture(window.viewport).pixels)


# --- opening a real one ---------------------------------------------------------------------------


@pytest.fixture
def agg() -> Iterator[None]:
    """A backend without windows, whatever this machine has."""
    before = mpl.rcParams["backend"]
    mpl.use("agg", force=True)
    yield
    pyplot.close("all")
    mpl.rcParams["backend"] = before


def test_without_a_screen_the_way_out_is_named(
    scene: Scene, agg: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_module.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(OptionsError, match=r"no screen here\. Use --save FILE\.png"):
        show(scene, WHOLE)


def test_without_a_toolkit_both_ways_out_are_named(
    scene: Scene, agg: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(OptionsError, match=r"window toolkit: .*--save FILE\.png"):
        show(scene, WHOLE)


def test_a_backend_that_does_not_load(
    scene: Scene, agg: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise ImportError("Cannot load backend 'TkAgg' ... as 'headless' is currently running")

    monkeypatch.setattr(pyplot, "switch_backend", broken)
    with pytest.raises(OptionsError, match="no screen here"):
        show(scene, WHOLE)


@pytest.mark.parametrize("fails", [False, True])
def test_a_window_is_shown_until_it_is_closed(
    scene: Scene, agg: None, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(window_module, "_DRAWS_FILES_ONLY", set())
    seen: list[np.ndarray] = []

    def one_look(block: bool) -> None:
        assert block
        (number,) = pyplot.get_fignums()
        figure = pyplot.figure(number)
        figure.canvas.draw()
        seen.append(np.asarray(figure.canvas.buffer_rgba()).copy())
        assert mpl.rcParams["keymap.yscale"] == [], "l is no command here"
        if fails:
            raise KeyboardInterrupt

    monkeypatch.setattr(pyplot, "show", one_look)
    if fails:
        with pytest.raises(KeyboardInterrupt):
            show(scene, WHOLE)
    else:
        show(scene, WHOLE)
    assert len(np.unique(seen[0].reshape(-1, 4), axis=0)) > 5
    assert pyplot.get_fignums() == []
    assert mpl.rcParams["keymap.yscale"] == ["l"]


def test_the_toolbar_is_told_of_views_to_go_back_to(scene: Scene) -> None:
    calls: list[str] = []

    class Toolbar:
        pan: Callable[[], None] = staticmethod(lambda: calls.append("pan"))
        push_current: Callable[[], None] = staticmethod(lambda: calls.append("push"))

    class Manager:
        toolbar = Toolbar()

    window = a_window(scene)
    window.figure.canvas.manager = Manager()
    window.start_panning()
    assert calls == ["pan", "push"]
    press(window, "+")
    assert calls == ["pan", "push", "push"]
