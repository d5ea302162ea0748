"""Stage 2: a tokenizer of the captions' own words."""

from pathlib import Path
from random import Random

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from training.config import Config
from training.glyphs import Glyph, read
from training.scenes import Composer, plural


def train(folder: Path, config: Config) -> int:
    """Learn the vocabulary from composed captions and every name; return its size."""
    known = read(folder)
    tokenizer = CLIPTokenizer().train_new_from_iterator(  # type: ignore[no-untyped-call]
        _captions(known, config),
        vocab_size=config.vocabulary,
        end_of_word_suffix="</w>",
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.model_max_length = config.tokens
    tokenizer.save_pretrained(folder / "tokenizer")
    return len(tokenizer)


def load(folder: Path) -> CLIPTokenizer:
    """Return the tokenizer that was trained."""
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    return tokenizer


def _captions(known: list[Glyph], config: Config) -> list[str]:
    pictures = {(n, style): 0 for n, glyph in enumerate(known) for style in glyph.styles}
    composer, rng = Composer(known, pictures), Random(config.seed)
    captions = [composer.compose(rng).caption for _ in range(config.captions)]
    for glyph in known:
        # Each word is seen often enough to become one token, however rarely its glyph was taken.
        captions += [glyph.label] * 10 + [*glyph.tags] * 4 + [plural(glyph.label)] * 3
    return captions
