"""Forms as the project renders them and as Django does."""

from decimal import Decimal

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from kit.forms import TAGS, Renderer

# One of them is only what others have in common.
WIDGETS = [
    widget
    for widget in vars(forms.widgets).values()
    if getattr(widget, "template_name", None) in TAGS and widget is not forms.widgets.DateTimeBaseInput
]
VALUES = [
    None,
    "",
    """<b class="x">'&'</b>""",
    SafeString("<b>&amp;</b>"),
    gettext_lazy("<Sign> in"),
    12345.5,
    0,
    Decimal("1e3"),
    True,
    False,
]


def test_every_tag_is_that_of_a_widget():
    assert {widget.template_name for widget in WIDGETS} == set(TAGS)


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.__name__)
def test_a_widget_looks_as_djangos_templates_render_it(widget, settings):
    settings.LANGUAGE_CODE, settings.USE_THOUSAND_SEPARATOR = "de", True
    for value in VALUES:
        one = widget(attrs={"data-x": value, "required": True, "disabled": False, "o'n": "<"})
        one.render_value = True
        stock, ours = (one.render('a"b', value, renderer=renderer()) for renderer in (DjangoTemplates, Renderer))
        assert (ours, type(ours)) == (stock, type(stock))


def test_a_widget_of_more_than_a_tag_is_rendered_by_its_template():
    assert forms.Select().render("a", "1", renderer=Renderer()).startswith("<select")
