from django.views.generic import TemplateView


class Home(TemplateView):
    """The first page, until there is one of your own."""

    template_name = "home/home.html"
    http_method_names = ["get", "head", "options"]
