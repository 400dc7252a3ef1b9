"""Draws detections on photos: python predict.py --workdir=runs/faster_shapes photo.jpg folder/ --output=detections"""

from jaxdet.cli import main

if __name__ == "__main__":
    main.predict()
