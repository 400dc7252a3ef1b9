"""Makes a workdir of another project's detector: python convert.py --config=... --file=model.pth --workdir=..."""

from jaxdet.cli import main

if __name__ == "__main__":
    main.convert()
