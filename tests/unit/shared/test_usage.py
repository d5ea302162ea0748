"""Token counts, as the documented service bills them."""

import pytest

from shared.params import Params, Quality
from shared.usage import output_tokens, usage


@pytest.mark.parametrize(
    ("width", "height", "quality", "tokens"),
    [
        (512, 512, Quality.LOW, 145),
        (512, 512, Quality.MEDIUM, 1303),
        (512, 512, Quality.HIGH, 5212),
        # By hand from q = {16, 48, 96}; s = (2·q·short + long) // (2·long); ceil(q·s·(2e6 + w·h) / 4e6):
        (1024, 1024, Quality.LOW, 196),  # 16 · 16 · 3,048,576 / 4e6 = 195.1
        (1024, 1536, Quality.MEDIUM, 1372),  # 48 · 32 · 3,572,864 / 4e6 = 1372.0
        (64, 64, Quality.LOW, 129),  # 16 · 16 · 2,004,096 / 4e6 = 128.3
        (2048, 64, Quality.LOW, 9),  # 16 · 1 · 2,131,072 / 4e6 = 8.5
    ],
)
def test_output_tokens_follow_the_published_formula(
    width: int, height: int, quality: Quality, tokens: int
) -> None:
    assert output_tokens(width, height, quality) == tokens
    assert output_tokens(height, width, quality) == tokens


def test_output_tokens_are_exact_for_the_largest_picture() -> None:
    assert output_tokens(4096, 4096, Quality.HIGH) == -(-96 * 96 * (2_000_000 + 4096 * 4096) // 4_000_000)


def test_each_image_is_counted_and_the_prompt_once() -> None:
    params = Params(prompt="swan", seed=1, n=3, quality=Quality.LOW)

    assert usage(params, text_tokens=7) == {
        "input_tokens": 7,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 7},
        "output_tokens": 3 * 145,
        "total_tokens": 7 + 3 * 145,
    }
