import uuid

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from .models import Message, Wish
from .text import normalize_newlines


class TextField(forms.CharField):
    def to_python(self, value):
        return super().to_python(normalize_newlines(value) if isinstance(value, str) else value)


class TextForm(forms.ModelForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # Browsers count UTF-16 units, two or more per emoji, and would cut off valid texts.
        del self.fields["text"].widget.attrs["maxlength"]


class WishForm(TextForm):
    class Meta:
        model = Wish
        fields = ["text"]
        field_classes = {"text": TextField}
        labels = {"text": _("Your wish")}
        help_texts = {"text": _("Up to 280 characters. Everyone can read it.")}
        error_messages = {
            "text": {
                "required": _("Write what you wish for."),
                "max_length": ngettext_lazy(
                    "The wish may have at most %(limit_value)d character, and this one has %(show_value)d.",
                    "The wish may have at most %(limit_value)d characters, and this one has %(show_value)d.",
                    "limit_value",
                ),
            }
        }
        widgets = {"text": forms.Textarea(attrs={"rows": 4, "autocomplete": "off"})}


class MessageForm(TextForm):
    class Meta:
        model = Message
        fields = ["text", "token"]
        field_classes = {"text": TextField}
        labels = {"text": _("Your message")}
        widgets = {
            "text": forms.Textarea(attrs={"rows": 2, "autocomplete": "off"}),
            "token": forms.HiddenInput(attrs={"autocomplete": "off"}),
        }

    def save(self):
        new = self.instance
        saved, is_new = Message.objects.get_or_create(
            talk=new.talk, token=new.token, defaults={"author": new.author, "text": new.text}
        )
        if not is_new and (saved.author_id, saved.text) != (new.author_id, new.text):
            # Not a repeated submission: the browser had cached an older page with that token.
            new.token = uuid.uuid4()
            new.save()
