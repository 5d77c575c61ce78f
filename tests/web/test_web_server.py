"""Who gets an answer, and what: token, host, methods, sizes; files that go or are damaged."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides.slide_samples import gradient, write_slide
from web.web_samples import CLASSES, Reply, ask, blocks, write

import qpmask
from qpmask.errors import OptionsError
from qpmask.geometry import Affine, Size
from qpmask.geometry.frames import Frame, SlideFile
from qpmask.web import Server, serve
from qpmask.web.answers import PAGE_FILES

LABELS = blocks()


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("masks") / "one.ome.tif", LABELS)


@pytest.fixture(scope="module")
def server(mask: Path) -> Iterator[Server]:
    with serve(mask.parent) as server:
        yield server


def labels_of(reply: Reply, size: tuple[int, int], dtype: str = "<u1") -> np.ndarray:
    assert reply.status == 200, reply.body[:300]
    return np.frombuffer(reply.body, dtype).reshape(size)


class TestPixels:
    @pytest.mark.parametrize("level", [0, 1, 2])
    def test_labels_arrive_as_they_are(self, server: Server, level: int) -> None:
        step = 2**level
        whole = LABELS[::step, ::step]
        rows, cols = -(-whole.shape[0] // 512), -(-whole.shape[1] // 512)
        for row in range(rows):
            for col in range(cols):
                wanted = whole[512 * row : 512 * row + 512, 512 * col : 512 * col + 512]
                reply = ask(server, f"api/images/0/mask/0/{level}/{col}/{row}")
                assert np.array_equal(labels_of(reply, wanted.shape), wanted), (level, col, row)

    @pytest.mark.parametrize("dtype", ["uint16", "uint32"])
    def test_large_labels(self, tmp_path: Path, dtype: str) -> None:
        labels = (np.arange(300 * 200).reshape(200, 300) % 70_000 + 1).astype(np.uint32)
        labels = (labels % 60_000).astype(np.uint16) if dtype == "uint16" else labels
        with serve(write(tmp_path / "n.ome.tif", labels, classes=None, dtype=dtype)) as server:
            assert ask(server, "api/images/0").json["layers"][0]["dtype"] == dtype
            reply = ask(server, "api/images/0/mask/0/0/0/0")
            assert np.array_equal(labels_of(reply, labels.shape, f"<u{labels.itemsize}"), labels)

    @pytest.mark.parametrize(
        "tile", ["0/9/0", "0/0/9", "9/0/0", "4/0/0", "0/0/99999999999", "0/-1/0", "0/0/0/0"]
    )
    def test_there_is_no_such_tile(self, server: Server, tile: str) -> None:
        assert ask(server, f"api/images/0/mask/0/{tile}").status in (404, 422)

    def test_other_images_and_layers(self, server: Server) -> None:
        for path in ("api/images/1", "api/images/0/mask/3/0/0/0", "api/images/0/slide/0/0/0"):
            assert ask(server, path).status in (404, 422), path


class TestWhoMayAsk:
    def test_without_the_token(self, server: Server) -> None:
        for path in ("", "api/images", "static/main.js", "x/api/images", server.url[-25:-2] + "/"):
            reply = ask(server, path, token=False)
            assert reply.status == 403, path
            assert "token" in reply.json["error"]

    def test_under_another_name(self, server: Server) -> None:
        port = server.port
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}",
                     "127.0.0.1:1", "", "[::1", f"10.0.0.1:{port}"):  # fmt: skip
            assert ask(server, "api/images", Host=host).status == 403, host
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
            assert ask(server, "api/images", Host=host).status == 200, host

    def test_another_site_gets_nothing(self, server: Server) -> None:
        for site in ("cross-site", "same-site"):
            reply = ask(server, "api/images", Sec_Fetch_Site=site, Origin="http://evil.example")
            assert reply.status == 403
        reply = ask(server, "api/images", Origin="http://evil.example")
        assert "access-control-allow-origin" not in reply.headers
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert ask(server, "", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200

    def test_the_page_may_load_nothing_from_elsewhere(self, server: Server) -> None:
        policy = ask(server, "").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        for name in PAGE_FILES:
            if name.endswith((".js", ".css")) and "vendor" not in name:
                assert b"://" not in ask(server, f"static/{name}").body, name

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    def test_nothing_is_taken(self, server: Server, method: str) -> None:
        assert ask(server, "api/images", method=method).status == 501

    def test_a_body_is_refused(self, server: Server) -> None:
        assert ask(server, "api/images", Content_Length="5").status == 413
        assert ask(server, "api/images", Transfer_Encoding="chunked").status == 413

    def test_long_addresses(self, server: Server) -> None:
        assert ask(server, "api/images?" + "x" * 3000).status == 414

    @pytest.mark.parametrize(
        "path",
        [
            "static/../server.py", "static/..%2fserver.py", "static/%2e%2e/server.py",
            "static//etc/passwd", "static/vendor/../../server.py", "../../etc/passwd",
            "static/main.js%00", "api/images/../../etc/passwd", "static/index.html",
            "api/images/٣",  # digits that are none of ASCII's
        ],
    )  # fmt: skip
    def test_no_path_leads_out(self, server: Server, path: str) -> None:
        raw = path.encode("utf-8").decode("latin-1")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
            token = server.url.split("/")[-2]
            link.sendall(
                f"GET /{token}/{raw} HTTP/1.0\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode(
                    "latin-1"
                )
            )
            assert link.makefile("rb").readline().split()[1] == b"404"

    def test_only_listed_files(self, server: Server) -> None:
        for name in PAGE_FILES:
            assert ask(server, f"static/{name}").status == 200, name
        assert ask(server, "static/notebook.py").status == 404

    def test_it_listens_on_this_machine_alone(self, server: Server) -> None:
        assert server.url.startswith(f"http://127.0.0.1:{server.port}/")
        assert len(server.url.split("/")[-2]) >= 24

    def test_tokens_differ(self, mask: Path) -> None:
        with serve(mask) as one, serve(mask) as other:
            assert one.url.split("/")[-2] != other.url.split("/")[-2]
            foreign = one.url.split("/")[-2]
            assert ask(other, f"{foreign}/api/images", token=False).status == 403


class TestManyAtOnce:
    def test_twenty_viewers(self, server: Server) -> None:
        wanted = LABELS[:512, :512]
        failures: list[object] = []

        def look() -> None:
            for level in (0, 1, 2):
                reply = ask(server, f"api/images/0/mask/0/{level}/0/0")
                if reply.status != 200:
                    failures.append(reply.status)
                elif level == 0 and not np.array_equal(labels_of(reply, (512, 512)), wanted):
                    failures.append("pixels")
            if ask(server, "api/images/0/thumb").body[:2] != b"\xff\xd8":
                failures.append("thumb")

        viewers = [threading.Thread(target=look) for _ in range(20)]
        for viewer in viewers:
            viewer.start()
        for viewer in viewers:
            viewer.join()
        assert not failures

    def test_too_many_connections_are_turned_away_and_the_server_goes_on(
        self, mask: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("qpmask.web.server._MAX_CONNECTIONS", 3)
        with serve(mask) as server:
            idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
            turned_away = _ask_until(server, 503)
            for link in idle:
                link.close()
            assert turned_away
            assert _ask_until(server, 200)

    def test_files_that_stay_open_are_few(self, tmp_path: Path) -> None:
        for i in range(30):
            write(tmp_path / f"{i:02}.ome.tif", LABELS[:300, :300])
        with serve(tmp_path) as server:
            assert ask(server, "api/images/0/mask/0/0/0/0").status == 200
            before = _open_files()
            for i in range(30):
                assert ask(server, f"api/images/{i}/mask/0/0/0/0").status == 200
            assert _open_files() - before <= 8


def _ask_until(server: Server, status: int) -> bool:
    for _ in range(100):
        try:
            if ask(server, "api/images").status == status:
                return True
        except OSError:
            pass
        threading.Event().wait(0.05)
    return False


def _open_files() -> int:
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        pytest.skip("needs /proc")


class TestWhileItIsLookedAt:
    def test_a_mask_that_is_made_again(self, tmp_path: Path) -> None:
        path = write(tmp_path / "one.ome.tif", LABELS)
        with serve(path) as server:
            old = ask(server, "api/images/0").json["layers"][0]["version"]
            assert ask(server, "api/images/0/mask/0/0/0/0").status == 200
            write(tmp_path / "new" / "one.ome.tif", LABELS[::-1]).replace(path)
            new = ask(server, "api/images/0").json["layers"][0]["version"]
            assert new != old
            reply = ask(server, "api/images/0/mask/0/0/0/0")
            assert np.array_equal(labels_of(reply, (512, 512)), LABELS[::-1][:512, :512])

    def test_a_mask_that_vanishes(self, tmp_path: Path) -> None:
        kept = write(tmp_path / "a.ome.tif", LABELS)
        gone = write(tmp_path / "b.ome.tif", LABELS)
        with serve(tmp_path) as server:
            assert ask(server, "api/images/1").status == 200
            gone.unlink()
            for path in ("api/images/1", "api/images/1/mask/0/0/0/0", "api/images/1/thumb"):
                reply = ask(server, path)
                assert reply.status in (410, 422), path
                assert "b.ome.tif" in reply.json["error"]
            assert ask(server, "api/images/0/mask/0/0/0/0").status == 200
            assert kept.exists()

    def test_a_slide_that_vanishes(self, tmp_path: Path) -> None:
        write(tmp_path / "masks" / "a.ome.tif", LABELS)
        slide = tmp_path / "slides" / "a.tif"
        slide.parent.mkdir()
        picture = np.full((*LABELS.shape, 3), (220, 180, 200), np.uint8)
        tifffile.imwrite(slide, picture, tile=(256, 256), photometric="rgb")
        with serve(tmp_path / "masks", slides=slide.parent) as server:
            assert ask(server, "api/images/0").json["hasSlide"]
            assert ask(server, "api/images/0/slide/0/0/0").body[:2] == b"\xff\xd8"
            slide.unlink()
            reply = ask(server, "api/images/0")
            assert reply.status == 200
            assert not reply.json["hasSlide"]
            assert "a.tif is gone" in " ".join(reply.json["notes"])
            assert ask(server, "api/images/0/mask/0/0/0/0").status == 200

    @pytest.mark.parametrize(
        ("matrix", "shown"),
        [
            (Affine(-1, 0, 700, 0, -1, 600), lambda p: p[::-1, ::-1]),
            (Affine.shift(150, 80), lambda p: p[80:380, 150:450]),
            (Affine(0, 1, 150, -1, 0, 380), lambda p: np.rot90(p[80:380, 150:450], -1)),
        ],
        ids=["turned", "cropped", "cropped and turned"],
    )
    def test_the_slide_lies_as_the_mask_says(
        self, tmp_path: Path, matrix: Affine, shown: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Its pixels are those that QuPath shows there, not those of the file's corner."""
        pixels = gradient(600, 700)
        wanted = shown(pixels)
        frame = Frame(matrix, SlideFile("a.tif", "Bio-Formats", 0, None, Size(700, 600)))
        labels = np.ones(wanted.shape[:2], np.uint8)
        said = {"frame": json.dumps(frame.to_json())}
        write(tmp_path / "masks" / "a.ome.tif", labels, extra=said)
        (tmp_path / "slides").mkdir()
        write_slide(tmp_path / "slides" / "a.tif", pixels, tile=(256, 256))
        with serve(tmp_path / "masks", slides=tmp_path / "slides") as server:
            assert ask(server, "api/images/0").json["hasSlide"]
            reply = ask(server, "api/images/0/slide/0/0/0")
        with Image.open(BytesIO(reply.body)) as tile:
            found = np.asarray(tile.convert("RGB")).astype(int)
        height, width = (min(a, b) for a, b in zip(found.shape, wanted.shape[:2], strict=False))
        assert height >= 256 and width >= 256
        off = np.abs(found[:height, :width] - wanted[:height, :width])
        assert off.mean() < 4 and off.max() < 40, "JPEG's own error and no more"

    def test_a_damaged_tile(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 3, LABELS.shape).astype(np.uint8)
        path = write(tmp_path / "a.ome.tif", noise, compression="zlib")
        with tifffile.TiffFile(path) as tif:
            page = tif.pages[0]
            offset, n = page.dataoffsets[0], page.databytecounts[0]
        with path.open("r+b") as file:
            file.seek(offset + n // 2)
            file.write(b"\0" * 64)
        with serve(path) as server:
            reply = ask(server, "api/images/0/mask/0/0/0/0")
            assert reply.status == 422
            assert "a.ome.tif" in reply.json["error"]
            assert ask(server, "api/images/0/mask/0/0/2/1").status == 200


class TestWhatIsServed:
    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match="nothing to serve"):
            serve()
        with pytest.raises(OptionsError, match="no masks and no patch files"):
            serve(tmp_path)
        with pytest.raises(OptionsError, match="no file or folder"):
            serve(tmp_path / "nothing")

    def test_a_port_that_is_taken(self, mask: Path, server: Server) -> None:
        with pytest.raises(OptionsError, match=f"port {server.port}"):
            serve(mask, port=server.port)

    def test_two_readers_of_one_image(self, tmp_path: Path) -> None:
        other = LABELS.copy()
        other[other == 1] = 2
        write(tmp_path / "one" / "a.ome.tif", LABELS)
        write(tmp_path / "two" / "a.ome.tif", other)
        with serve(tmp_path / "one", tmp_path / "two") as server:
            images = ask(server, "api/images").json["images"]
            assert [image["masks"] for image in images] == [["one", "two"]]
            found = ask(server, "api/images/0/compare/0/1").json
            assert found["different"] == int(np.count_nonzero(other != LABELS))
            own = qpmask.compare_masks(
                tmp_path / "one" / "a.ome.tif", tmp_path / "two" / "a.ome.tif"
            )
            assert found["kappa"] == pytest.approx(own.kappa)
            assert {s["name"]: s["dice"] for s in found["scores"]} == {
                s.name: pytest.approx(s.dice) for s in own.scores
            }

    def test_a_coarser_mask_lies_upon_the_image(self, tmp_path: Path, demo: Path) -> None:
        options = qpmask.export_options(engine="native", images=("1",))
        qpmask.export_masks(demo, tmp_path / "fine", None, options)
        options = qpmask.export_options(engine="native", images=("1",), downsample=4.0)
        qpmask.export_masks(demo, tmp_path / "coarse", None, options)
        with serve(tmp_path / "fine", tmp_path / "coarse") as server:
            image = ask(server, "api/images/0").json
            assert (image["width"], image["height"], image["mpp"]) == (3000, 2200, [0.5, 0.5])
            assert [layer["scale"] for layer in image["layers"]] == [[1, 1], [4, 4]]

    def test_a_project_is_drawn_when_it_is_looked_at(self, demo: Path) -> None:
        before = {path: path.read_bytes() for path in demo.rglob("*") if path.is_file()}
        with serve(demo) as server:
            assert [i["name"] for i in ask(server, "api/images").json["images"]] == [
                "Prostate A", "Prostate B", "Prostate C",
            ]  # fmt: skip
            image = ask(server, "api/images/0").json
            assert "not saved" in " ".join(image["notes"])
            names = [row["name"] for row in image["layers"][0]["classes"] if row["pixels"]]
            assert {"Stroma", "Tumor"} <= set(names)
        assert before == {path: path.read_bytes() for path in demo.rglob("*") if path.is_file()}

    def test_a_collection_is_a_list_of_layers(self, tmp_path: Path, demo: Path) -> None:
        pytest.importorskip("zarr", minversion="3", reason="zarr 3 needs Python 3.11")
        options = qpmask.export_options(
            engine="native", images=("1",), multichannel=True, format="ozx"
        )
        qpmask.export_masks(demo, tmp_path / "out", None, options)
        with serve(tmp_path / "out") as server:
            image = ask(server, "api/images/0").json
            titles = [layer["title"] for layer in image["layers"]]
            assert titles[:3] == ["Mask", "Stroma", "Bening gland"]
            assert {layer["kind"] for layer in image["layers"][1:]} == {"channel"}
            path = tmp_path / "out" / "Prostate A.ozx"
            with qpmask.MaskCollection(path) as masks:
                for number, name in ((0, None), (1, "Stroma"), (3, "Tumor")):
                    size, dtype = (512, 512), image["layers"][number]["dtype"]
                    reply = ask(server, f"api/images/0/mask/{number}/1/1/1")
                    view = masks.flat if name is None else masks[name]
                    there = np.asarray(view.region(1024, 1024, 1024, 1024, 2))
                    got = labels_of(reply, size, f"<u{np.dtype(dtype).itemsize}")
                    assert np.array_equal(got > 0, there > 0), name
                    assert there.any()

    def test_a_volume_is_a_list_of_slices(self, tmp_path: Path) -> None:
        shape = (120, 60, 90)
        organ = np.zeros(shape, bool)
        organ[40:70, 10:50, 20:80] = True
        with qpmask.MaskCollection(tmp_path / "ct.ozx", "w", shape=shape) as masks:
            masks.add("liver", organ)
        with serve(tmp_path) as server:
            image = ask(server, "api/images/0").json
            assert len(image["layers"]) == 60  # every other one: no more than a hundred
            assert any("120 planes; 60" in note for note in image["notes"])
            for number in (19, 20, 34, 35):
                reply = ask(server, f"api/images/0/mask/{number}/0/0/0")
                got = labels_of(reply, (60, 90), "<u1")
                assert np.array_equal(got, organ[2 * number])

    def test_instances(self, tmp_path: Path, demo: Path) -> None:
        options = qpmask.export_options(engine="native", images=("1",), instances=True)
        qpmask.export_masks(demo, tmp_path / "out", None, options)
        with serve(tmp_path / "out") as server:
            layer = ask(server, "api/images/0").json["layers"][0]
            assert layer["kind"] == "instances"
            table = np.frombuffer(ask(server, "api/images/0/objects/0").body, "<u2")
            names = {row["label"]: row["name"] for row in layer["classes"]}
            assert names[int(table[1])] == "Stroma"

    def test_classes_have_the_names_and_colours_of_the_file(self, server: Server) -> None:
        rows = ask(server, "api/images/0").json["layers"][0]["classes"]
        assert {row["name"]: row["label"] for row in rows} == CLASSES

    def test_an_area_that_is_no_number_costs_no_other_image(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.ome.tif", LABELS[:100, :100])
        sidecar = path.with_name(path.name + ".json")
        sidecar.write_text('{"classes": [{"label": 1, "name": "A", "pixels": 3, "area_mm2": NaN}]}')
        with serve(tmp_path) as server:
            (image,) = ask(server, "api/images").json["images"]
            assert [one["area_mm2"] for one in image["classes"]] == [None]

    def test_it_says_what_it_is(self, mask: Path) -> None:
        server = serve(mask)
        assert server.url in repr(server)
        assert f'src="{server.url}"' in server._repr_html_()
        server.close()
        server.close()
        assert "closed" in repr(server)
        with pytest.raises(OSError):
            ask(server, "api/images")


def test_a_mask_in_a_notebook(mask: Path) -> None:
    with qpmask.open_mask(mask) as opened:
        view = opened.show(height_px=333)
        assert 'height="333"' in view._repr_html_()
        assert view.url in view._repr_html_()
        assert view.url in repr(view)
        import base64

        assert base64.b64decode(view._repr_png_())[:4] == b"\x89PNG"
        assert opened.show().url == view.url, "one server a mask"
