"""Kernels: compiled once, kept as machine code, called with words."""

from __future__ import annotations

import importlib
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from jit import sample_kernels as sample
from jit.sample_kernels import Box

from qpmask.errors import KernelsUnavailableError
from qpmask.jit import Library, bound, library, machinecode, packed
from qpmask.jit.arguments import Number, types_of


class Sheet(NamedTuple):
    size: float


BOX = Box(np.array([1.5, -0.0, np.inf]), 0.1, False)


class TestCalls:
    def test_records_arrays_and_numbers_arrive_as_they_are(self) -> None:
        out = np.zeros((3, 2))
        sample.multiply(BOX, out)
        expected = np.repeat(BOX.values[:, None] * 0.1, 2, axis=1)
        assert out.tobytes() == expected.tobytes()  # the sign of zero too

    def test_a_bound_call_is_the_call(self) -> None:
        pixels = np.array([[1, 2], [2, 2]], np.uint8)
        for kernel in (sample.count, lambda pixels, label: int((pixels == label).sum())):
            call = bound(kernel, pixels.copy(), 2)
            assert [call(), call()] == [3, 3]
        held = pixels.copy()
        call = bound(sample.count, held, 2)
        held[0, 0] = 2
        assert call() == 4

    def test_a_packed_record_is_the_record(self) -> None:
        a, b = np.zeros((3, 2)), np.zeros((3, 2))
        box = BOX._replace(twice=True)
        sample.multiply(box, a)
        sample.multiply(packed(box), b)
        assert a.tolist() == b.tolist() == np.repeat(box.values[:, None] * 0.2, 2, axis=1).tolist()

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
    def test_there_is_one_for_each_type_of_pixels(self, dtype: type) -> None:
        pixels = np.arange(12, dtype=dtype).reshape(3, 4) // 5
        assert sample.count(pixels, 1) == 5

    def test_products_are_rounded_before_they_are_added(self) -> None:
        a, b = 1 + 2.0**-30, 1 - 2.0**-30
        values = np.array([a, b, 0.0, 1.0])
        sample.round_trip(values)
        assert values[2] == a * b - 1.0 == 0.0  # -2**-60 with one rounding

    def test_single_precision_stays_single(self) -> None:
        out = np.zeros(1, np.int64)
        sample.single(1 + 2.0**-40, out)
        assert out[0] == 8388608

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((2, 2), np.int32),
            np.zeros((2, 2), np.float64),
            np.zeros(4, np.uint8),
            np.zeros((4, 4), np.uint8)[:, ::2],
            np.zeros((4, 4), np.uint8).T[1:],
        ],
        ids=["type", "float", "dimensions", "steps", "columns"],
    )
    def test_an_array_of_another_kind_is_refused(self, array: np.ndarray) -> None:
        with pytest.raises(TypeError, match="contiguous array of uint8 or uint16 or uint32"):
            sample.count(array, 1)

    def test_a_number_of_another_kind_is_refused(self) -> None:
        with pytest.raises(TypeError, match="whole number"):
            sample.count(np.zeros((2, 2), np.uint8), 1.5)

    def test_a_missing_argument_is_refused(self) -> None:
        with pytest.raises(ValueError, match="shorter"):
            sample.count(np.zeros((2, 2), np.uint8))

    def test_what_annotations_say_must_be_something_that_a_kernel_can_take(self) -> None:
        def takes_text(name: str) -> int:
            return len(name)

        with pytest.raises(TypeError, match="cannot take <class 'str'>"):
            types_of(takes_text)

    def test_a_record_is_not_another_one(self) -> None:
        with pytest.raises(TypeError, match="expected Box, not Sheet"):
            sample.multiply(packed(Sheet(1.0)), np.zeros((3, 2)))  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QPMASK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def loaded_anew() -> Library:
    """The library of the sample as a process that just began has it."""
    again = Library("sample", [sample.__name__])
    again.entries = sample.LIBRARY.entries
    return again


class TestKeeping:
    def test_code_is_compiled_once(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert loaded_anew().must_compile
        loaded_anew().load()
        assert not loaded_anew().must_compile
        assert [path.suffix for path in cache.iterdir()] == [".kernels"]
        again = loaded_anew()
        monkeypatch.setattr(machinecode, "machine_code", None)  # so that none can be made
        again.load()
        assert sample.count(np.ones((2, 2), np.uint8), 1) == 4

    @pytest.mark.parametrize(
        "damage",
        ["cut", *(pytest.param(name, marks=pytest.mark.slow) for name in ("flipped", "empty"))],
    )
    def test_damaged_code_is_compiled_again(self, cache: Path, damage: str) -> None:
        loaded_anew().load()
        (path,) = cache.iterdir()
        whole = path.read_bytes()
        if damage == "flipped":
            damaged = bytearray(whole)
            damaged[len(whole) // 2] ^= 1
            path.write_bytes(damaged)
        else:
            path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
        assert loaded_anew().must_compile
        loaded_anew().load()
        assert path.read_bytes()[:32] != b"" and not loaded_anew().must_compile
        assert sample.count(np.ones((2, 2), np.uint8), 1) == 4

    def test_without_a_place_to_keep_it_all_works(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("QPMASK_CACHE_DIR", str(tmp_path / "file" / "cache"))
        loaded_anew().load()
        assert sample.count(np.ones((2, 2), np.uint16), 1) == 4

    def test_a_change_of_a_source_makes_another_file(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = tmp_path / "changing_kernels.py"
        monkeypatch.syspath_prepend(tmp_path)
        places = []
        for text in ("a = 1\n", "a = 2\n", "a = 1\n"):
            module.write_text(text)
            sources = library.hash_of_sources(("changing_kernels",))
            places.append(machinecode.place("sample", sources))
        assert places[0] == places[2] != places[1]

    def test_sources_count_as_they_were_imported(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        text = (
            "from qpmask import jit\n"
            "LIBRARY = jit.Library('edited', [__name__])\n"
            "@LIBRARY.entry\n"
            "def answer(n: int) -> int:\n    return n + 1\n"
        )
        (tmp_path / "edited_kernels.py").write_text(text)
        import edited_kernels

        (tmp_path / "edited_kernels.py").write_text(text.replace("n + 1", "n + 22"))
        with pytest.raises(KernelsUnavailableError, match="start again"):
            edited_kernels.answer(1)
        again = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import edited_kernels as e; "
            "print(e.answer(1))"
        )
        printed = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True)
        assert printed.stdout == "23\n", printed.stderr

    def test_settings_for_debugging_numba_change_nothing(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
        loaded_anew().load()
        assert sample.count(np.ones((2, 2), np.uint8), 1) == 4

    def test_another_processor_has_another_file(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import llvmlite.binding as llvm

        here = machinecode.place("sample", "of this and that")
        kept = (machinecode._key, machinecode._processor)
        monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "another")
        for function in kept:
            function.cache_clear()
        assert machinecode.place("sample", "of this and that") != here
        for function in kept:
            function.cache_clear()

    def test_later_processes_do_without_numba(self, cache: Path) -> None:
        program = """
            import sys
            import numpy as np
            from qpmask.ometiff import kernels
            from qpmask.ometiff.kernels.library import LIBRARY
            from qpmask.ometiff.strips import MIXED, StripShape
            assert not LIBRARY.must_compile
            pixels = np.array([[1, 1, 2, 2, 2, 2, 2, 2]], np.uint8)
            shape = StripShape(1, 4, 2, 4, 2)
            runs = kernels.runs_of(pixels, np.array([MIXED]), shape)
            assert runs.values.tolist() == [1, 2] and runs.ends.tolist() == [2, 8]
            print("numba" in sys.modules, "llvmlite" in sys.modules)
        """
        environment = dict(os.environ)
        environment.pop("QPMASK_CACHE_DIR")
        warm = [
            sys.executable,
            "-c",
            "from qpmask.ometiff.kernels.library import LIBRARY; LIBRARY.load()",
        ]
        subprocess.run(warm, check=True, env=environment)
        found = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            check=True, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert found.stdout.split() == ["False", "True"]


class TestShipped:
    """What the package brings, so that nobody needs Numba."""

    @pytest.mark.parametrize(
        "module",
        [
            "collection.runkernels", "engines.native.library", "geojson.library",
            "ometiff.kernels.library", "polygons.library", "qpdata.kernel.library",
        ],
    )  # fmt: skip
    def test_bitcode_is_of_these_sources(self, module: str) -> None:
        shipped = importlib.import_module(f"qpmask.{module}").LIBRARY
        assert library.read_shipped(shipped) is not None, "run python -m qpmask.jit.build"

    def test_a_new_machine_needs_no_numba(self, cache: Path) -> None:
        program = """
            import sys
            sys.modules["numba"] = None
            from qpmask.engines.native.library import LIBRARY as draw
            from qpmask.ometiff.kernels.library import LIBRARY as strips
            assert draw.must_compile and strips.must_compile
            draw.load()
            strips.load()
            assert not draw.must_compile and not strips.must_compile
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
        assert len(list(cache.iterdir())) == 2

    def test_bitcode_of_other_sources_is_not_used(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(Library, "shipped", tmp_path / "sample.bitcode")
        again = loaded_anew()
        library.write_shipped(again, b"bitcode")
        assert library.read_shipped(again) == b"bitcode"
        again.sources = "0" * 64
        assert library.read_shipped(again) is None

    def test_bitcode_that_llvm_cannot_read_is_said(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(Library, "shipped", tmp_path / "sample.bitcode")
        again = loaded_anew()
        library.write_shipped(again, b"of a later LLVM")
        with pytest.raises(KernelsUnavailableError, match=r"cannot be loaded.*[Bb]itcode"):
            again.load()
        assert not cache.exists()

    def test_without_numba_changed_kernels_are_an_error(
        self, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "numba.py").write_text("raise ImportError('No module named numba')")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(KernelsUnavailableError, match=r"sample.*No module named numba"):
            loaded_anew().load()

    def test_ctrl_c_is_heard_while_machine_code_is_made(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go_on = threading.Event()
        monkeypatch.setattr(machinecode, "_object_of", lambda bitcode: go_on.wait(60))
        # What runs in the background of a shell may have been told to pass over interrupts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
        try:
            with pytest.raises(KeyboardInterrupt):
                machinecode.machine_code(b"")
            assert not go_on.is_set()
        finally:
            go_on.set()
            signal.signal(signal.SIGINT, before)


class TestWhatKernelsMayNotDo:
    @pytest.mark.parametrize(
        ("body", "needs"),
        [
            ("    return len(np.empty(out[0], np.int64))", "NRT_|numba_"),
            ("    if out[0] == 3:\n        raise ValueError\n    return 0", "numba_|Py"),
        ],
        ids=["allocate", "raise"],
    )
    def test_what_needs_numba_at_run_time_is_refused(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, needs: str
    ) -> None:
        name = f"bad_kernels_{abs(hash(body))}"
        (tmp_path / f"{name}.py").write_text(
            "from __future__ import annotations\n"
            "import numpy as np\n"
            "from qpmask import jit\n"
            "LIBRARY = jit.Library('bad', [__name__])\n"
            "@LIBRARY.entry\n"
            f"def bad(out: jit.I64_1D) -> int:\n{body}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        module = __import__(name)
        with pytest.raises(KernelsUnavailableError, match=needs):
            module.LIBRARY.load()
        assert not list(cache.glob("*"))


def test_zero_words_are_numbers() -> None:
    words: list[int] = []
    Number("float").put(-0.0, words)
    Number("float").put(math.nan, words)
    assert words[0] == -(2**63) and words[1] == 0x7FF8000000000000
