"""Examines photos, annotations and this machine before training: python doctor.py path/to/photos [--config=...]"""

from jaxdet.cli import main

if __name__ == "__main__":
    main.doctor()
