"""Shows detections on a web page of this machine: python serve.py --workdir=runs/faster_shapes"""

from jaxdet.cli import main

if __name__ == "__main__":
    main.serve()
