"""Examines photos and this machine before training: python doctor.py --config=faster_devkit path/to/photos"""

from jaxdet.cli import main

if __name__ == "__main__":
    main.doctor()
