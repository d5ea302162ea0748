"""What only LongCat-Image has: prompts that may be rewritten, and guidance that is kept short."""

from dataclasses import replace

import pytest

from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of, draw_joining, furthest, stock
from tests.unit.engine.rows.test_families import TOLERANCE
from worker.engine.rows.families.registry import adapt

NAME = "LongCatImagePipeline"


@pytest.mark.parametrize("arguments", [{}, {"enable_prompt_rewrite": True}])
def test_where_prompts_are_rewritten_the_pipeline_is_run_whole(
    adapted: Adapted, arguments: dict[str, bool]
) -> None:
    model = adapted(NAME).model

    assert adapt(replace(model, spec=model.spec.model_copy(update={"arguments": arguments}))) is None


def test_how_short_guidance_is_kept_is_each_rows_own(adapted: Adapted) -> None:
    family = adapted(NAME)
    choices: list[dict[str, object]] = [{}, {"enable_cfg_renorm": False}, {"cfg_renorm_min": 0.9}]
    calls = [call_of(family.model, "black swan", 4, 7.0, **more) for more in choices]
    expected = [stock(family.model, call, 3) for call in calls]

    images = draw_joining(family, [family.prepare(call, 3) for call in calls])

    assert furthest(images, expected) <= TOLERANCE
    assert min(furthest(images[:1], [other]) for other in images[1:]) > TOLERANCE
