"""kit.testing: what fills a form is valid for it."""

import pytest
from django import forms
from django.core.validators import FileExtensionValidator
from django.db import models
from django.test import RequestFactory
from django.test.utils import isolate_apps

from kit.testing import filled

PAPERS = [FileExtensionValidator(["pdf", "txt"])]


class Letter(forms.Form):
    text = forms.CharField()
    paper = forms.FileField(validators=PAPERS)
    picture = forms.FileField(validators=[FileExtensionValidator(["jpg", "png"])])
    anything = forms.FileField()
    nothing = forms.FileField(required=False)


def sent(form):
    request = RequestFactory().post("/", filled(form))
    return request.POST, request.FILES


def test_a_form_with_files_is_filled():
    answer = Letter(*sent(Letter()))
    assert answer.is_valid(), answer.errors
    assert answer.cleaned_data["nothing"] is None


@isolate_apps("apps.accounts")
@pytest.mark.parametrize("prefix", [None, "paper"])
def test_so_is_one_whose_model_takes_some_kinds_alone(prefix):
    class Paper(models.Model):  # noqa: DJ008  (it is never shown)
        file = models.FileField(validators=PAPERS)

        class Meta:
            app_label = "accounts"

    form = forms.modelform_factory(Paper, fields=["file"])
    answer = form(*sent(form(prefix=prefix)), prefix=prefix)
    assert answer.is_valid(), answer.errors
