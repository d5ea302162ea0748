"""Which models can serve a request, by what their entries say."""

import pytest

from api.models.needs import NEEDS
from shared.catalogue import ModelSpec
from shared.params import Params
from tests.tiny_models import TINY_ENTRY

LOOKS = {"by": "reference", "most_images": 2}
BEGINS = {"by": "image-to-image", "masks": True, "strength": {"low": 0.8, "high": 0.4}}
SPECS = {
    "begins": {"edits": BEGINS},
    "looks": {"family": "SomeWholePipeline", "edits": LOOKS},
    "only": {"family": "SomeWholePipeline", "edits": {**LOOKS, "required": True}},
    "plain": {},
}
PICTURE = (64, 64)


def unmet(model: str, **choices: object) -> str | None:
    """The field whose need a model does not meet, the first of them."""
    spec = ModelSpec.model_validate({**TINY_ENTRY, "name": model, "weights": "tiny", **SPECS[model]})
    params = Params.model_validate({"prompt": "swan", "seed": 1, "width": 64, "height": 64, **choices})
    return next((need.param for need in NEEDS if not need.met(spec, params)), None)


def test_a_model_that_draws_nothing_without_a_picture_is_for_edits_alone() -> None:
    assert unmet("only") == "model"
    assert unmet("only", input_sizes=[PICTURE]) is None
    assert [unmet(model) for model in ("begins", "looks", "plain")] == [None, None, None]


@pytest.mark.parametrize(
    ("model", "choices", "param"),
    [
        ("plain", {"input_sizes": [PICTURE]}, "image"),
        ("begins", {"input_sizes": [PICTURE]}, None),
        ("begins", {"input_sizes": [PICTURE] * 2}, "image"),
        ("looks", {"input_sizes": [PICTURE] * 2}, None),
        ("only", {"input_sizes": [PICTURE] * 3}, "image"),
        ("begins", {"input_sizes": [PICTURE], "masked": True}, None),
        ("looks", {"input_sizes": [PICTURE], "masked": True}, "mask"),
        ("looks", {"input_sizes": [PICTURE], "input_fidelity": "high"}, "input_fidelity"),
        ("begins", {"input_sizes": [PICTURE], "input_fidelity": "high"}, None),
        ("looks", {"input_sizes": [PICTURE], "strength": 0.5}, "strength"),
        ("begins", {"input_sizes": [PICTURE], "strength": 0.5}, None),
    ],
)
def test_an_edit_needs_a_model_that_edits_so(
    model: str, choices: dict[str, object], param: str | None
) -> None:
    assert unmet(model, **choices) == param


@pytest.mark.parametrize(
    ("choices", "param"),
    [({"width": 4096}, "size"), ({"width": 512}, "size"), ({"negative_prompt": "blurred"}, None)],
)
def test_what_its_entry_does_not_allow_is_named_by_its_field(
    choices: dict[str, object], param: str | None
) -> None:
    assert unmet("plain", **choices) == param
