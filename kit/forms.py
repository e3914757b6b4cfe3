"""FORM_RENDERER: Django's, but widgets that are a single tag are written without its three nested templates."""

from html import escape

from django.forms.renderers import DjangoTemplates
from django.utils.safestring import SafeData, SafeString

INPUTS = "checkbox color date datetime email hidden number password search tel text time url"


class Renderer(DjangoTemplates):
    """As with Django's default renderer, a project can't override these templates: use TemplatesSetting for that."""

    def render(self, template_name, context, request=None):
        write = TAGS.get(template_name)
        return write(context["widget"]) if write else super().render(template_name, context, request)


def _input(widget):
    value = widget["value"]
    shown = "" if value is None else f' value="{_text(value)}"'
    return SafeString(
        f'<input type="{_text(widget["type"])}" name="{_text(widget["name"])}"{shown}{_attributes(widget)}>'
    )


def _textarea(widget):
    return SafeString(
        f'<textarea name="{_text(widget["name"])}"{_attributes(widget)}>\n{_text(widget["value"] or "")}</textarea>'
    )


def _attributes(widget):
    return "".join(
        f" {_text(name)}" if value is True else f' {_text(name)}="{_text(value)}"'
        for name, value in widget["attrs"].items()
        if value is not False
    )


def _text(value):
    return value if isinstance(value, SafeData) else escape(str(value))


TAGS = {f"django/forms/widgets/{name}.html": _input for name in INPUTS.split()}
TAGS["django/forms/widgets/textarea.html"] = _textarea
