"""For tests of pages whose models change: they send what the form of the page asks for."""

from django import forms

# By kind of field, the more special first. What is text is HTML as well, which no page may show as such.
VALUES = {
    forms.EmailField: "someone@example.com",
    forms.URLField: "https://example.com/",
    forms.SlugField: "a-slug",
    forms.UUIDField: "6f2a4b0e-5d3c-4a55-9c1b-0c5d1f2e3a4b",
    forms.JSONField: "{}",
    forms.GenericIPAddressField: "192.0.2.1",
    forms.DateTimeField: "2030-01-31 12:00",
    forms.DateField: "2030-01-31",
    forms.TimeField: "12:00",
    forms.DurationField: "01:00:00",
    forms.BooleanField: "on",
    forms.IntegerField: "1",
    forms.CharField: "<b>&",
}


def filled(form: forms.BaseForm) -> dict[str, str]:
    """A valid answer to `form`: of each choice the first, and else an example of its kind."""
    return {form.add_prefix(name): str(_value(field)) for name, field in form.fields.items() if not field.disabled}


def _value(field: forms.Field) -> object:
    if isinstance(field, forms.ChoiceField | forms.ModelChoiceField):
        return next((value for value, _ in field.choices if str(value)), "")
    return next((value for kind, value in VALUES.items() if isinstance(field, kind)), "")
