"""The command jaxdet; the root scripts run the same functions."""

import runpy
import types

import pytest

import jaxdet
from jaxdet.cli import main, shared_flags


@pytest.fixture
def command(scripts, tmp_path):
    """Runs the console command in a process of its own; returns its exit code and what it printed."""
    script = tmp_path / "jaxdet"
    script.write_text("import sys\nfrom jaxdet.cli.main import main\n\nsys.exit(main())\n")
    return lambda *arguments: scripts.start(str(script), *arguments).wait()


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (
            ["jaxdet"],
            "error: jaxdet: the command must be train, evaluate, predict, serve, convert, export or doctor, got ''\n",
        ),
        (
            ["jaxdet", "--workdir=x"],
            "predict, serve, convert, export or doctor, got '--workdir=x'; valid names: ",
        ),
        (
            ["jaxdet", "trian"],
            "predict, serve, convert, export or doctor, got 'trian'; did you mean 'train'?\n",
        ),
    ],
)
def test_no_or_an_unknown_command(monkeypatch, capsys, argv, error):
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert error in err
    assert (out, err.count("\n")) == ("", 1)


def test_help_and_version(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["jaxdet", "--help"])
    main.main()
    printed, _ = capsys.readouterr()
    assert all(f"\n    jaxdet {name} " in printed for name in main.COMMANDS)
    monkeypatch.setattr("sys.argv", ["jaxdet", "--version"])
    main.main()
    assert capsys.readouterr()[0] == f"jaxdet {jaxdet.__version__}\n"


def test_python_m_jaxdet_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["jaxdet", "--version"])
    runpy.run_module("jaxdet", run_name="__main__")
    assert capsys.readouterr()[0] == f"jaxdet {jaxdet.__version__}\n"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_help_of_a_command(command, scripts, name):
    code, printed = command(name, "--help")
    assert code == 1  # absl's exit code
    assert printed.startswith(main.COMMANDS[name].__doc__)
    assert "--workdir: " in printed
    assert ("--config.training.steps=2200" in printed) == (name == "train")
    by_script = scripts.run(f"{name}.py", "--help", code=1)
    assert f"python {name}.py --" in by_script
    flags_of = [text.partition("\nflags:\n")[2].split("\n", 2)[2] for text in (printed, by_script)]
    assert flags_of[0] == flags_of[1]  # but for the line with the name of the script


def test_mistakes_are_one_line(command):
    assert command("train", "--config.seed=a") == (
        2,
        "error: --config.seed must be int, got 'a'; the config file shows such a value.\n",
    )
    assert command("train", "--lr=0.1") == (
        2,
        "error: --lr is not a flag but may be meant as a field of the config: --config.optim.learning_rate=...\n",
    )
    for flag in ("--conf", "--conf-thres", "--score_thr"):
        assert command("predict", f"{flag}=0.3") == (2, f"error: {flag} is not a flag; did you mean --threshold?\n")
    assert command("predict", "--workdri=x") == (
        2,
        "error: Unknown command line flag 'workdri'. Did you mean: workdir ?\n",
    )


def test_the_home_folder_is_understood_in_every_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths, others = {}, set()
    stubs = {name: lambda name, *_, **__: others.add(name) for name in dir(main.flags) if name.startswith("DEFINE_")}
    stubs["DEFINE"] = lambda parser, name, *_, **__: paths.update({name: parser.parse("~/x")})
    stub = types.SimpleNamespace(ArgumentSerializer=main.flags.ArgumentSerializer, **stubs)
    for module in (main, shared_flags):
        monkeypatch.setattr(module, "flags", stub)
    monkeypatch.setattr(main, "run", lambda *_, **__: None)
    monkeypatch.setattr("sys.argv", ["jaxdet train", "--help"])  # without flags, train only prints an overview
    for define_flags in main.COMMANDS.values():
        define_flags()
    assert paths == dict.fromkeys(
        ("config", "workdir", "output", "pretrained_file", "file", "svms", "box_regressors", "to"), str(tmp_path / "x")
    )
    assert others == {
        *("checkpoint", "classes", "distributed", "max_pixels", "no_timing", "pretrained", "split", "threshold"),
        *("batch_size", "camera", "crops", "dry_run", "format", "host", "port"),
    }
