"""What a wish may consist of."""

import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# They make what follows them read in another order than it is written, beyond the wish itself.
_BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def normalize_newlines(text):
    """Browsers send a line break as two characters and count it as one."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def validate_text(text):
    if any(_is_refused(character) for character in text):
        raise ValidationError(
            _("The text has control characters in it. Only letters, signs and line breaks are possible."),
            code="control_characters",
        )
    if text and all(unicodedata.category(character)[0] in "CZ" for character in text):
        raise ValidationError(_("Nothing of this text can be seen. Write something."), code="invisible")


def _is_refused(character):
    # Cs are lone surrogates, which no database and no browser can be given.
    return (unicodedata.category(character) in ("Cc", "Cs") and character != "\n") or unicodedata.bidirectional(
        character
    ) in _BIDIRECTIONAL
