"""How many examples a property test draws: the number it names, or that many times more where a search asks.

Hypothesis lets `max_examples` of a test override that of the profile; here the two multiply.
"""

from hypothesis import settings

NAMED_NOTHING = 100  # examples that Hypothesis draws for a test that names no number


def examples(usual: int, **others) -> settings:
    """Return settings of `usual` examples, times what the profile (tests/conftest.py) multiplies by."""
    return settings(max_examples=usual * settings.default.max_examples // NAMED_NOTHING, **others)
