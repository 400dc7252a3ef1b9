from jaxdet.cli import main
from jaxdet.cli.config_file import SHIPPED
from jaxdet.cli.overview import overview


def test_train_without_arguments_says_what_it_can_do(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["jaxdet", "train"])
    main.main()
    assert capsys.readouterr().out == f"{overview('jaxdet train', SHIPPED)}\n"


def test_examples_are_of_the_command_as_it_was_typed():
    text = overview("python train.py", SHIPPED)
    assert "  python train.py --config=faster_shapes\n" in text and "{program}" not in text


def test_every_config_has_a_line_with_what_it_reproduces(tmp_path):
    (tmp_path / "mine.py").write_text('"""My cells.\n\nMore about them."""\n')
    (tmp_path / "without.py").touch()
    (tmp_path / "__init__.py").touch()
    assert overview("jaxdet train", tmp_path).splitlines()[-2:] == [f"  {'mine':30}My cells.", f"  {'without':30}"]
    assert "  faster_voc12_article " in overview("jaxdet train", SHIPPED)
