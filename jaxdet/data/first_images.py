"""The first images of a split, for a dry run."""

from jaxdet.types import Annotation, Dataset, Record


class FirstImages:
    """A types.Dataset of the first `count` images of another, or of all where it has fewer."""

    def __init__(self, whole: Dataset, count: int):
        self._whole = whole
        self.class_names, self.names = whole.class_names, whole.names[:count]
        self.image_sizes, self.object_counts = whole.image_sizes[:count], whole.object_counts[:count]

    @property
    def fingerprint(self) -> str:
        return f"{self._whole.fingerprint}_{len(self)}"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Record:
        return self._whole[self._checked(i)]

    def annotations(self, i: int) -> Annotation:
        """Read the objects of image i without decoding its pixels."""
        return self._whole.annotations(self._checked(i))

    def _checked(self, i: int) -> int:
        if not 0 <= i < len(self):
            raise IndexError(f"FirstImages: image must be in 0..{len(self) - 1}, got {i}.")
        return i
