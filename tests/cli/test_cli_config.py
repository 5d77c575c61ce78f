"""``qpmask.toml``: options from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli.plain_engine import ALL, SQUARES
from conftest import Cli


def planned(cli: Cli, project: Path, *args: object) -> dict[str, Any]:
    """The first image of a plan."""
    code, out, err = cli(project, "--dry-run", "--json", *args)
    assert code == 0, err
    first = json.loads(out)["images"][0]
    assert isinstance(first, dict)
    return first


@pytest.mark.parametrize(
    "text",
    ["downsample = 4", "[export]\ndownsample = 4", "downsample = 2\n[export]\ndownsample = 4"],
)
def test_options_from_a_file(cli: Cli, three: Path, text: str) -> None:
    Path("qpmask.toml").write_text(text)
    assert planned(cli, three)["downsample"] == 4.0


def test_the_command_line_goes_before_the_file(cli: Cli, three: Path) -> None:
    Path("qpmask.toml").write_text("downsample = 4\nboundary = 300\nimages = ['3']\n")
    first = planned(cli, three, "--downsample", 8)
    assert (first["downsample"], first["dtype"], first["entry_id"]) == (8.0, "uint16", "3")
    assert planned(cli, three, "--images", "1")["entry_id"] == "1"


def test_a_file_that_is_in_use_is_named(cli: Cli, three: Path) -> None:
    file = Path("qpmask.toml").absolute()
    file.write_text("downsample = 4\ntile_size = 64\n")
    run = (three, "--dry-run")
    assert cli(*run)[2] == f"Options from {file}: downsample, tile-size\n"
    assert cli(*run, "--mpp", 1)[2] == f"Options from {file}: tile-size\n"
    assert cli(*run, "--downsample", 2, "--tile-size", 32)[2] == ""
    assert cli(*run, "--quiet")[2] == ""
    file.unlink()
    assert cli(*run)[2] == ""


def test_all_kinds_of_options_in_a_file(cli: Cli, three: Path) -> None:
    Path("map.yaml").write_text(ALL)
    Path("qpmask.toml").write_text(
        'out = "masks"\nclasses = "map.yaml"\ntile-size = 32\nimages = ["sq*", "2"]\n'
        'pyramid = false\nunclassified = 9\njvm_memory = "1g"\njson = true\n'
    )
    code, out, _ = cli(three)
    assert code == 0
    data = json.loads(out)
    assert [i["entry_id"] for i in data["images"]] == ["1", "2"]
    assert data["options"]["render"]["tile_px"] == 32
    assert data["options"]["file"]["pyramid"] is False
    assert data["options"]["unclassified"] == 9
    assert Path("masks", SQUARES).is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("downsampel = 4", "Did you mean 'downsample'?"),
        ("[export]\nworker = 4", "Did you mean 'workers'?"),
        ("no-pyramid = true", "Did you mean 'pyramid'?"),
        ("[check]\nquiet = true", "there is no option 'check'"),
        ("export = 3", "[export]"),
        ("downsample =", "is not valid TOML"),
        ("downsample = 'x'", "downsample is 'x'; it must be a number"),
        ("unknown = 'maybe'", "unknown is 'maybe'; it is one of error, ignore"),
        ("engine = 'java'", "engine is 'java'; it is one of auto"),
        ("images = [1]", "images is 1; it must be text"),
        ("tile_size = 100", "multiple of 16"),
    ],
)
def test_mistakes_in_the_file(cli: Cli, three: Path, text: str, words: str) -> None:
    Path("qpmask.toml").write_text(text)
    code, out, err = cli(three, "-o", "m")
    assert (code, out) == (2, "")
    assert words in err
    assert not Path("m").exists()


def test_a_file_that_is_no_text(cli: Cli, three: Path) -> None:
    Path("qpmask.toml").write_bytes(b"\xff\xfe\x00")
    code, _, err = cli(three, "-o", "m")
    assert code == 2 and "qpmask.toml cannot be read" in err


def test_a_file_with_a_byte_order_mark(cli: Cli, three: Path) -> None:
    Path("qpmask.toml").write_bytes(b"\xef\xbb\xbfdownsample = 4")
    assert planned(cli, three)["downsample"] == 4.0


@pytest.mark.parametrize(
    ("text", "args"),
    [("downsample = 4", ("--mpp", 1)), ("mpp = 4", ("--downsample", 2)),
     ("classes = 'gone.yaml'", ("--preset", "prostate", "--unknown", "ignore")),
     ("instances = true", ("--multichannel",))],
)  # fmt: skip
def test_an_option_overrules_its_opposite_in_the_file(
    cli: Cli, three: Path, text: str, args: tuple[object, ...]
) -> None:
    Path("qpmask.toml").write_text(text)
    planned(cli, three, *args)


@pytest.mark.parametrize(
    "text", ["unclassified = true", "unclassified = 8.5", "boundary = true", "downsample = true",
             "workers = 2.5"],
)  # fmt: skip
def test_values_of_another_type_in_the_file(cli: Cli, three: Path, text: str) -> None:
    Path("qpmask.toml").write_text(text)
    Path("map.yaml").write_text(ALL.replace(" 1", " 51"))
    code, _, err = cli(three, "--dry-run", "--classes", "map.yaml")
    assert code == 2, err


def test_help_in_spite_of_a_mistake_in_the_file(cli: Cli) -> None:
    Path("qpmask.toml").write_text("bogus = 1")
    code, out, _ = cli("--help")
    assert code == 0 and "--downsample" in out
