"""What is trained, on how much, and for how long: the shipped model's numbers, and tiny ones for tests."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Config:
    """Sizes in pixels, unless they are of layers."""

    seed: int = 1
    picture_px: int = 512
    glyph_px: int = 320
    """Glyphs are kept at this size, and drawn smaller or larger."""

    vocabulary: int = 5000
    tokens: int = 48
    """Most tokens of a caption."""
    captions: int = 60_000
    """Captions that the tokenizer learns from."""

    latent_channels: int = 16
    autoencoder_channels: tuple[int, ...] = (32, 48, 64, 96, 128)
    autoencoder_groups: int = 8
    autoencoder_steps: int = 2468
    autoencoder_batch: int = 48
    autoencoder_rate: float = 1.2e-3
    crop_px: int = 256
    divergence_weight: float = 2e-4

    denoiser_channels: tuple[int, ...] = (96, 160, 224)
    denoiser_groups: int = 16
    head_channels: int = 32
    denoiser_steps: int = 9249
    denoiser_batch: int = 384
    denoiser_rate: float = 6e-4
    scenes: int = 320_000
    """Scenes that are composed, encoded once and drawn from at each step."""
    encode_batch: int = 64
    empty_captions: float = 0.1

    text_width: int = 256
    text_layers: int = 3
    text_heads: int = 4

    warmup_steps: int = 400
    average: float = 0.9995
    """Most of the averaged weights that a step keeps."""
    save_every: int = 500

    @property
    def latent_px(self) -> int:
        """Side of the latents."""
        return int(self.picture_px // 2 ** (len(self.autoencoder_channels) - 1))


SHIPPED: Final = Config()
TINY: Final = Config(
    picture_px=64,
    glyph_px=48,
    vocabulary=600,
    tokens=24,
    captions=200,
    latent_channels=4,
    autoencoder_channels=(8, 8, 8, 8, 8),
    autoencoder_groups=4,
    autoencoder_steps=4,
    autoencoder_batch=2,
    crop_px=32,
    denoiser_channels=(8, 16),
    denoiser_groups=4,
    head_channels=4,
    denoiser_steps=4,
    denoiser_batch=4,
    scenes=16,
    encode_batch=8,
    text_width=16,
    text_layers=1,
    text_heads=2,
    warmup_steps=2,
    save_every=1,
)
PRESETS: Final = {"shipped": SHIPPED, "tiny": TINY}
