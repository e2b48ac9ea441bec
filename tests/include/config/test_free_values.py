from __future__ import annotations

import json

from include.config.free_values import marked, unmarked
from include.config.sections.training import Candidate
from include.storage.content import canonical_json, read_json


def test_a_whole_float_is_still_one_after_canonical_json() -> None:
    value = {"a": 1.0, "b": 1, "c": [2.0, 2.5, "x", None, True], "d": {"e": -0.0}, "f": 1e300}
    back = unmarked(read_json(canonical_json(marked(value))))
    assert back == value and json.dumps(back) == json.dumps(value)


def test_settings_and_spaces_of_a_candidate_keep_their_kind_through_what_is_stored() -> None:
    declared = {
        "estimator": "random_forest",
        "params": {"max_features": 1.0, "max_depth": 3},
        "search": {"method": "grid", "space": {"max_features": [1.0, 1], "max_depth": {"low": 1, "high": 4}}},
    }
    candidate = Candidate.model_validate(declared)
    again = Candidate.model_validate(read_json(canonical_json(candidate.model_dump(mode="json"))))
    assert again == candidate and type(again.params["max_features"]) is float
    assert [type(value) for value in again.search.space["max_features"]] == [float, int]  # type: ignore[union-attr,index]
