"""The documentation is true: its commands, config fields, names, links and Python examples.

Every shell command is checked without running it. A block that starts as in ```bash needs=archives needs what NEEDS
says. The commands of all other blocks are run by the test suite on tiny data: EXECUTED says in which file.
"""

import importlib
import inspect
import pathlib
import re
import shlex
import typing

import numpy as np
import pytest

import jaxdet
from jaxdet.checks import InputError
from jaxdet.cli import main
from jaxdet.cli.config_file import load_config
from jaxdet.cli.overrides import override
from jaxdet.config.parse import SCHEMAS, parse
from jaxdet.data.transforms import resize
from jaxdet.export import export
from tests.fields_table import BEGIN, END, TRAINING, fields_table

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").glob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

NEEDS = {
    "archives": "VOC's archives and the weights of ImageNet's nets",
    "hosts": "several hosts",
    "hours": "minutes to hours of computation",
    "libtpu": "the TPU's compiler",
    "linux": "glibc's allocator",
    "network": "a package index or a server of weights",
    "peer": "an environment with torch and torchvision",
    "photos": "a folder of photos",
    "weights": "a file of converted weights",
}
EXECUTED = {
    "make demo": "tests/test_end_to_end.py",  # its two scripts
    "python train.py --config=configs/faster_shapes.py": "tests/test_end_to_end.py",
    "python evaluate.py --workdir=runs/faster_shapes": "tests/test_end_to_end.py",
    "python predict.py --workdir=runs/faster_shapes photo.jpg folder/ --output=detections": "tests/test_end_to_end.py",
}
DEFAULT_CONFIG = {"train": "faster_shapes", "convert": "simple_faster_rcnn"}
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("[!_]*.py"))
PLACEHOLDER = "my_"  # in the names of files that a reader is told to write


class Block(typing.NamedTuple):
    language: str
    needs: tuple[str, ...]
    text: str


def blocks(page: pathlib.Path, language: str) -> list[Block]:
    """Return the fenced blocks of a language."""
    matches = re.findall(r"^```(\w+)(?: needs=([\w,]+))?\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [
        Block(name, tuple(needs.split(",")) if needs else (), text) for name, needs, text in matches if name == language
    ]


def commands(block: Block) -> list[list[str]]:
    """Return the commands of a block of shell lines, each as its words."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def all_commands() -> list:
    return [
        pytest.param(words, id=f"{name}: {' '.join(words)[:60]}")
        for page, name in zip(PAGES, IDS, strict=True)
        for block in blocks(page, "bash")
        for words in commands(block)
    ]


@pytest.mark.parametrize("words", all_commands())
def test_commands_name_existing_files_flags_and_fields(words):
    program, *arguments = words
    match program:
        case "python" if arguments[0] == "-m":
            check_benchmark(ROOT / f"{arguments[1].replace('.', '/')}.py", arguments[2:])
        case "python" if arguments[0].startswith("benchmarks/"):
            check_benchmark(ROOT / arguments[0], arguments[1:])
        case "python":
            assert (ROOT / arguments[0]).is_file()
            check_job(arguments[0].removesuffix(".py"), arguments[1:])
        case "jaxdet":
            check_job(arguments[0], arguments[1:])
        case "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case "pip":
            assert arguments[0] == "install"
            files = [argument.partition("[")[0] for argument in arguments[1:] if not argument.startswith("-")]
            assert files and all((ROOT / file).exists() for file in files)
        case _:
            assert program in ("export", "uv")


def check_benchmark(script: pathlib.Path, arguments: list[str]) -> None:
    """Check that the script exists and defines the flags."""
    source = script.read_text()
    for argument in arguments:
        if argument.startswith("--"):
            name = argument.removeprefix("--").partition("=")[0]
            assert f'"--{name}"' in source or f'"{name}"' in source, argument


def check_job(job: str, arguments: list[str]) -> None:
    """Check the flags of train, evaluate, predict or convert, and that the config with its overrides is valid."""
    flags = dict(argument[2:].partition("=")[::2] for argument in arguments if argument.startswith("--"))
    overrides = [argument for argument in arguments if argument.startswith("--config.")]
    assert {name for name in flags if not name.startswith("config.")} <= defined_flags(job)
    check_config(flags.get("config") or trained_config(job, flags.get("workdir", "")), overrides)


def defined_flags(job: str) -> set[str]:
    """Return the names of the flags that a job defines."""
    source = inspect.getsource(main.COMMANDS[job])
    shared = re.findall(r"define_(\w+)\(\)", source)
    return {*re.findall(r'(?:DEFINE_\w+|define_path)\(\s*"(\w+)"', source), *shared}


def trained_config(job: str, workdir: str) -> str:
    """Return the config of a run in the documentation: that of the workdir's name, else the job's default."""
    name = pathlib.Path(workdir).name
    return name if name in CONFIGS else DEFAULT_CONFIG.get(job, "faster_shapes")


def check_config(name: str, overrides: list[str]) -> None:
    """Check that a config exists and is valid with these overrides."""
    if name.endswith(".py"):
        assert (ROOT / name).is_file()
    parse(override(load_config(str(ROOT / "configs" / f"{pathlib.Path(name).stem}.py")), overrides).to_dict())


def test_mistakes_in_commands_are_seen():
    with pytest.raises(InputError, match=r"no field 'training.stepss'"):
        check_job("train", ["--config.training.stepss=3"])
    with pytest.raises(InputError, match="net.width must be"):
        check_config("faster_shapes", ["--config.net.width=wide"])
    for flag in ("--threshold=0.3", "--wrokdir=runs/demo"):
        with pytest.raises(AssertionError):
            check_job("train", [flag])
    assert in_jaxdet("ops.nms.nms")
    assert not in_jaxdet("ops.nms.nsm")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_blocks_say_what_they_need_or_are_run_by_a_test(page):
    for block in blocks(page, "bash"):
        assert set(block.needs) <= NEEDS.keys()
        for words in [] if block.needs else commands(block):
            test = (ROOT / EXECUTED[" ".join(words)]).read_text()
            assert words[0] == "make" or words[1] in test
    assert not re.search(r"^```(?:sh|shell|console)", page.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def fields():
    """The paths of all sections and fields of all configs."""

    def paths(section, prefix=""):
        for name, value in section.items():
            yield prefix + name
            if isinstance(value, dict):
                yield from paths(value, f"{prefix}{name}.")

    modules = (importlib.import_module(f"configs.{name}") for name in CONFIGS)
    configs = [override(module.get_config(), []).to_dict() for module in modules]
    return {path for config in configs for path in paths(config)}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_overrides_in_the_text_are_fields(page, fields):
    for path in re.findall(r"--config\.([a-z_]\w*(?:\.\w+)*)=", page.read_text()):
        if path != "field":  # --config.field=value stands for any
            assert path in fields, path


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_dotted_names_in_the_text_exist(page, fields):
    modules = {path.stem for path in (ROOT / "jaxdet").iterdir() if not path.name.startswith("_")}
    for name in re.findall(r"`([a-z_]\w*(?:\.\w+)+)(?:=[^`]*)?`", without_blocks(page)):
        first = name.partition(".")[0]
        if name.endswith(".py") or PLACEHOLDER in name:
            continue
        if first in modules | {"jaxdet", "config"} | {path.partition(".")[0] for path in fields}:
            assert name.removeprefix("config.") in fields or in_jaxdet(name.removeprefix("jaxdet.")), name


def in_jaxdet(name: str) -> bool:
    """Return whether a dotted name is a module of jaxdet or something in one."""
    parts = name.split(".")
    for end in range(len(parts), -1, -1):
        try:
            value = importlib.import_module(".".join(["jaxdet", *parts[:end]]))
        except ModuleNotFoundError:
            continue
        return all((value := getattr(value, part, None)) is not None for part in parts[end:])
    return False


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_and_configs_in_the_text_exist(page):
    text = without_blocks(page)
    for path in re.findall(r"`((?:jaxdet|tests|configs|benchmarks|docs)/[\w/.-]*)`", text):
        assert PLACEHOLDER in path or (ROOT / path).exists(), path
    for name in re.findall(r"`((?:rcnn|fast|faster|simple)_[a-z]\w*)`", text):
        assert name in CONFIGS or name in SCHEMAS, name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=[*IDS, "CHANGELOG.md"])
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            linked = page.parent / file if file else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


def anchors(page: pathlib.Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_blocks(page: pathlib.Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_readme_has_at_most_120_lines():
    assert len(README.read_text().splitlines()) <= 120


@pytest.fixture
def examples(trained, programs, tmp_path, monkeypatch):
    """Run the Python examples of a page in a folder with runs/demo and runs/faster_devkit; return their variables."""
    (tmp_path / "runs").mkdir()
    for name in ("demo", "faster_devkit"):
        (tmp_path / "runs" / name).symlink_to(trained[0], target_is_directory=True)
    monkeypatch.chdir(tmp_path)

    def run(page: pathlib.Path) -> dict[str, typing.Any]:
        image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
        resized, scale = resize(image, short_side=96, long_side=96)
        namespace = {"image": image, "resized": resized, "scale": scale}
        (block,) = blocks(page, "python")
        exec(compile(block.text, str(page), "exec"), namespace)
        return namespace

    return run


@pytest.mark.parametrize("page", [README, ROOT / "docs/own-data.md"], ids=["README.md", "docs/own-data.md"])
def test_python_example_detects(examples, page):
    detections = examples(page)["detections"]
    boxes = detections.boxes
    assert boxes.dtype == np.float32
    assert boxes.shape == (len(detections.scores), 4) == (len(detections.labels), 4)
    assert len(detections.class_names) == len(boxes)
    assert ((boxes >= 0) & (boxes <= [90, 60, 90, 60])).all()


def test_python_example_runs_an_exported_program(examples):
    export("runs/demo", "detector.stablehlo")
    variables = examples(ROOT / "docs/weights.md")
    boxes, scores, labels, valid = (np.asarray(variables[name])[0] for name in ("boxes", "scores", "labels", "valid"))
    detections = jaxdet.load_detector("runs/demo")(variables["image"], threshold=0.0)
    assert len(detections.boxes) > 0
    np.testing.assert_allclose(boxes[valid], detections.boxes, atol=1e-2)
    np.testing.assert_allclose(scores[valid], detections.scores, atol=1e-4)
    np.testing.assert_array_equal(labels[valid], detections.labels)


def test_fields_table_is_current():
    assert fields_table() == TRAINING.read_text().partition(BEGIN)[2].partition(END)[0], (
        "run `python -m tests.fields_table` and commit docs/training.md"
    )
