"""Trains a detector: python train.py --config=configs/faster_shapes.py [--workdir=...] [--config.any.field=value]"""

from jaxdet.cli import main

if __name__ == "__main__":
    main.train()
