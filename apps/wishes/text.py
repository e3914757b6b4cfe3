"""Rules for the text of a wish."""

import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# These change the reading order of the text after them, beyond the wish itself.
_BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def normalize_newlines(text):
    """Browsers send a line break as two characters and count it as one."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def validate_text(text):
    if any(_is_refused(character) for character in text):
        raise ValidationError(
            _("The text contains control characters. Use only letters, signs and line breaks."),
            code="control_characters",
        )
    if text and all(unicodedata.category(character)[0] in "CZ" for character in text):
        raise ValidationError(_("None of this text is visible. Write something."), code="invisible")


def _is_refused(character):
    # Cs are lone surrogates, which databases and browsers can't handle.
    return (unicodedata.category(character) in ("Cc", "Cs") and character != "\n") or unicodedata.bidirectional(
        character
    ) in _BIDIRECTIONAL
