"""Evaluates a trained detector on the test split: python evaluate.py --workdir=runs/faster_shapes [--split=...]

--config.field=value changes the config that the workdir was trained with.
"""

from jaxdet.cli import main

if __name__ == "__main__":
    main.evaluate()
