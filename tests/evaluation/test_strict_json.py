"""JSON without NaN that a person can read."""

import json
import math

from jaxdet.evaluation.strict_json import strict_json


def test_numbers_that_are_not_finite_become_null():
    value = {"a": math.nan, "b": [1.5, math.inf], "c": {"d": -math.inf, "é": (True, None, "x")}, "e": [], "f": {}}
    read = json.loads(strict_json(value), parse_constant=lambda constant: constant)
    assert read == {"a": None, "b": [1.5, None], "c": {"d": None, "é": [True, None, "x"]}, "e": [], "f": {}}


def test_a_list_is_one_line_and_a_table_one_line_per_row():
    assert strict_json({"a": [1, 2], "b": [[1, 2], [3, 4]], "c": {"d": 0.5}}).splitlines() == [
        "{",
        ' "a": [1, 2],',
        ' "b": [',
        "  [1, 2],",
        "  [3, 4]",
        " ],",
        ' "c": {',
        '  "d": 0.5',
        " }",
        "}",
    ]
