"""{% per_language %} … {% endper_language %}: caches a part that is the same on every page, once per language.

The part sees no variable and no request, so that one visitor's data can't get to another.
"""

from weakref import WeakSet

from django import template
from django.core.signals import setting_changed
from django.template.loader_tags import BlockNode
from django.utils.translation import get_language

register = template.Library()
_nodes = WeakSet()


@register.tag
def per_language(parser, token):
    nodelist = parser.parse(["endper_language"])
    parser.delete_first_token()
    if nodelist.get_nodes_by_type(BlockNode):
        raise template.TemplateSyntaxError("per_language can't contain blocks: other templates could not fill them.")
    return PerLanguage(nodelist)


class PerLanguage(template.Node):
    """The cache lives as long as the template: with DEBUG, each request loads a new one."""

    def __init__(self, nodelist):
        self.nodelist = nodelist
        self.kept = {}
        _nodes.add(self)

    def render(self, context):
        language = get_language()
        html = self.kept.get(language)
        if html is None:
            empty = template.Context()
            with empty.bind_template(context.template), empty.render_context.push_state(context.template):
                html = self.kept[language] = self.nodelist.render(empty)
        return html


def _forget(**kwargs):
    # For tests.
    for node in list(_nodes):
        node.kept.clear()


setting_changed.connect(_forget)
