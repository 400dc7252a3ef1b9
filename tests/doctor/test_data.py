import numpy as np

from jaxdet.doctor.data import Survey, image_findings
from jaxdet.evaluation.tables import GroundTruthTable

ONE_OBJECT = GroundTruthTable(
    image=np.zeros(1, np.int32),
    boxes=np.array([[0.0, 0, 9, 9]]),
    labels=np.ones(1, np.int32),
    difficult=np.zeros(1, bool),
)


def test_objects_that_are_used_after_a_correction_are_not_called_left_out():
    corrected = (
        "box clipped to the image",
        "object with <difficult> 'no', taken as 0",
        "object whose iscrowd or ignore is neither 0 nor 1, taken as 0",
    )
    faults = {reason: ["a"] for reason in (*corrected, "box outside the image")}
    sizes = np.array([[60, 80]])
    survey = Survey("train", "train", ["a"], sizes, ONE_OBJECT, [], {}, {}, faults, 0, False)
    findings = [(each.severity, each.text) for each in image_findings(survey, short_side=60, long_side=80)]
    expected = [("note", f"corrected, 1 of 1 objects of train: {reason}") for reason in corrected]
    assert findings == [*expected, ("error", "left out, 1 of 1 objects of train: box outside the image")]
