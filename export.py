"""Writes a trained detector to one file: python export.py --workdir=runs/faster_shapes --to=detector.safetensors"""

from jaxdet.cli import main

if __name__ == "__main__":
    main.export()
