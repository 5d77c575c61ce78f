"""``qpmask groovy``, and the scripts as a real Groovy parses them. Needs no QuPath."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
from conftest import QUPATH, ROOT, Cli

from qpmask._version import __version__
from qpmask.classes import ClassEntry, ClassMap, load_preset
from qpmask.engines.jvm import QuPathInstall
from qpmask.errors import ClassMapError, OutputError
from qpmask.setup.groovyscripts import SCRIPTS, groovy_literal, script_text, write_scripts

SOURCE = ROOT / "groovy" / "source"
_GROOVY = "org.apache.groovy:groovy:4.0.26"
_PARSE = """
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.Phases
args.each {
    def unit = new CompilationUnit()
    unit.addSource(new File(it))
    unit.compile(Phases.CONVERSION)
}
println "parsed ${args.length}"
"""


@pytest.fixture
def cli(qpmask_cli: Cli) -> Cli:
    """Run ``qpmask groovy``."""
    return partial(qpmask_cli, "groovy")


def groovy(*args: object) -> subprocess.CompletedProcess[str]:
    """Run Groovy itself, from QuPath, from Maven's cache or from Maven Central."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no java to run Groovy with")
    found = sorted((Path.home() / ".m2").rglob("groovy-[0-9].*[0-9].jar"))
    if isinstance(QUPATH, QuPathInstall):
        found += sorted(QUPATH.app_dir.glob("groovy-[0-9].*[0-9].jar"))
    if not found and shutil.which("mvn"):
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:get", f"-Dartifact={_GROOVY}", "-Dtransitive=false"],
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        found = sorted((Path.home() / ".m2").rglob("groovy-[0-9].*[0-9].jar"))
    if not found:
        pytest.skip("there is no Groovy: neither a QuPath nor Maven has one")
    done = subprocess.run(
        [java, "-cp", str(found[-1]), "groovy.ui.GroovyMain", *map(str, args)],
        capture_output=True, text=True, timeout=120, check=False, encoding="utf-8",
    )  # fmt: skip
    if "UnsupportedClassVersionError" in done.stderr:
        pytest.skip(f"java is too old for {found[-1].name}")
    return done


# -- the scripts --------------------------------------------------------------------------------


def test_a_real_groovy_parses_the_scripts(tmp_path: Path) -> None:
    files = [ROOT / "groovy" / name for name in SCRIPTS]
    files += write_scripts(tmp_path, load_preset("prostate"))
    done = groovy("-e", _PARSE, *files)
    assert done.returncode == 0, done.stderr
    assert "parsed 6" in done.stdout


def test_groovy_reads_a_class_map_as_it_is(tmp_path: Path) -> None:
    odd = ClassMap(
        (
            ClassEntry(1, 'it\'s \\ $x ${y} "z"', (0, 10, 255)),
            ClassEntry(65535, "Sin clasificación \N{MICROSCOPE}\t\n\x07", None, ("a'b", "ñ\u2028")),
        ),
        ignore=("*[*]", "'"),
        unclassified=9,
        origin="C:\\maps\\n.yaml",
    )
    script = tmp_path / "show.groovy"
    script.write_text(
        f"def m = {groovy_literal(odd)}\n"
        "def codes = { it.codePoints().toArray().join('.') }\n"
        "println codes(m.origin)\n"
        "m.classes.each { println([it.label, codes(it.name), it.color,"
        " (it.aliases ?: []).collect(codes)].join(' ')) }\n"
        "println m.ignore.collect(codes).join(' ')\nprintln m.unclassified\n",
        "ascii",
    )
    done = groovy(script)
    assert done.returncode == 0, done.stderr

    def codes(text: str) -> str:
        return ".".join(str(ord(c)) for c in text)

    first, second = odd.entries
    assert done.stdout.splitlines() == [
        codes(odd.origin),
        f"1 {codes(first.name)} #000aff []",
        f"65535 {codes(second.name)} null [{', '.join(map(codes, second.aliases))}]",
        " ".join(map(codes, odd.ignore)),
        "9",
    ]


def test_labels_that_qupath_cannot_hold_are_refused(tmp_path: Path) -> None:
    high = ClassMap((ClassEntry(65_536, "A"),))
    with pytest.raises(ClassMapError, match=r"65,536.*65,535") as caught:
        write_scripts(tmp_path, high)
    assert caught.value.hint is not None and "--engine native" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_scripts_are_plain() -> None:
    for name in SCRIPTS:
        text = (ROOT / "groovy" / name).read_bytes()
        assert text.isascii(), name  # QuPath on Windows reads scripts in the system's letters
        assert b"\r" not in text and b"\t" not in text
        head = text.decode().partition("*/")[0]
        for word in ("Run it", "In  ", "Out  ", "QuPath     0.4 to 0.7"):
            assert word in head, f"{name} lacks {word!r} in its head"


def test_the_scripts_are_what_their_parts_give() -> None:
    """``qpmask groovy --force -o groovy`` puts them together again."""
    for name in SCRIPTS:
        assert (ROOT / "groovy" / name).read_text("utf-8") == script_text(name), name


def test_what_a_script_does_is_said_in_sixty_lines() -> None:
    text = (SOURCE / "export_masks.groovy").read_text("utf-8")
    story = text.split("// ---- what it does ")[1].split("// ---- what it needs ")[0]
    assert 10 < story.count("\n") <= 60


def test_every_part_is_used_and_says_what_it_is() -> None:
    named = {
        name.strip()
        for script in SOURCE.glob("*.groovy")
        for block in re.findall(r"// <parts>\n(.*?)// </parts>", script.read_text(), re.DOTALL)
        for line in block.splitlines()
        for name in line.partition("  ")[2].split(",")
    }
    parts = {path.stem: path.read_text("ascii") for path in (SOURCE / "parts").glob("*.groovy")}
    assert set(parts) == named
    for name, text in parts.items():
        words = re.search(rf"\*/\n(@\w+\n)?class {name}\b", text)
        assert words is not None, f"{name} has no class of its name that says what it is"


def test_the_version_in_the_script_is_ours() -> None:
    text = (ROOT / "groovy" / SCRIPTS[0]).read_text("utf-8")
    assert f"static final String VERSION = '{__version__}'" in text


# -- the command --------------------------------------------------------------------------------


def test_it_fills_in_a_preset(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("--preset", "prostate", "-o", tmp_path / "new")
    assert code == 0
    assert out.split() == [str(tmp_path / "new" / name) for name in SCRIPTS]
    assert "Script editor" in err
    text = (tmp_path / "new" / SCRIPTS[0]).read_text("ascii")
    assert "[label: 24, name: 'Tumor', color: '#c80000']" in text
    assert "name: 'Bening gland', color: '#3cb44b', aliases: ['Benign gland']" in text
    assert "def classMap = null" not in text
    assert text.count("// <class map>") == 1 == text.count("// </class map>")
    original = (ROOT / "groovy" / SCRIPTS[0]).read_text("ascii")
    block = re.compile(r"// <class map>.*?// </class map>", re.DOTALL)
    assert block.sub("", text) == block.sub("", original)
    for name in SCRIPTS[1:]:
        assert (tmp_path / "new" / name).read_bytes() == (ROOT / "groovy" / name).read_bytes()


def test_it_fills_in_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("label,name\n3,It's\n")
    code, _, _ = cli("--classes", "map.csv")
    assert code == 0
    assert "[label: 3, name: 'It\\'s']" in (tmp_path / SCRIPTS[0]).read_text("ascii")


def test_without_a_map_the_scripts_are_as_they_are(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("--json")
    assert code == 0
    assert json.loads(out) == {"scripts": [str(tmp_path / name) for name in SCRIPTS]}
    for name in SCRIPTS:
        assert (tmp_path / name).read_bytes() == (ROOT / "groovy" / name).read_bytes()


def test_it_replaces_nothing_unasked(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "import_mask.groovy"
    mine.write_text("mine")
    code, out, err = cli()
    assert (code, out) == (2, "")
    assert "is there already" in err and "--force" in err
    assert [p.name for p in tmp_path.iterdir()] == ["import_mask.groovy"]
    assert mine.read_text() == "mine"
    assert cli("--force")[0] == 0
    assert mine.read_text("ascii") != "mine"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--classes", "none.yaml"), "none.yaml cannot be read"),
        (("--preset", "nose"), "no preset 'nose'"),
        (("--preset", "prostate", "--classes", "a.yaml"), "not both"),
    ],
)
def test_what_is_wrong_is_said(cli: Cli, tmp_path: Path, args: tuple[str], message: str) -> None:
    code, _, err = cli(*args)
    assert code == 2
    assert message in err
    assert not list(tmp_path.iterdir())


def test_scripts_that_did_not_come_along() -> None:
    with pytest.raises(OutputError, match="did not come with this qpmask"):
        script_text("no_such.groovy")
