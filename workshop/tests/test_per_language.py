"""What is rendered once in each language is the same for everybody."""

import pytest
from django.template import Context, TemplateSyntaxError, engines
from django.utils import translation


def page(text):
    return engines["django"].engine.from_string("{% load i18n per_language %}" + text)


def test_each_language_has_its_own():
    template = page("{% per_language %}{% get_current_language as code %}{{ code }}{% endper_language %}")
    for language in ("en", "ko", "en"):
        with translation.override(language):
            assert template.render(Context()).endswith(language)


def test_it_is_rendered_once():
    template = page("{% per_language %}{% now 'u' %}{% endper_language %}")
    assert template.render(Context()) == template.render(Context())


def test_nothing_of_the_page_is_known_in_it(rf):
    template = page("{% per_language %}[{{ secret }}{{ request }}{% csrf_token %}]{% endper_language %}{{ secret }}")
    context = {"secret": "mine", "request": rf.get("/"), "csrf_token": "token"}
    assert template.render(Context(context)) == "[]mine"


def test_a_block_in_it_is_refused_as_no_page_could_fill_it():
    with pytest.raises(TemplateSyntaxError, match="block"):
        page("{% per_language %}{% if 1 %}{% block content %}{% endblock %}{% endif %}{% endper_language %}")


def test_tests_that_change_a_setting_see_it(settings):
    template = page("{% per_language %}{% get_available_languages as all %}{{ all|length }}{% endper_language %}")
    settings.LANGUAGES = [("en", "English"), ("ko", "Korean")]
    assert template.render(Context()) == "2"
    settings.LANGUAGES = [("en", "English")]
    assert template.render(Context()) == "1"
