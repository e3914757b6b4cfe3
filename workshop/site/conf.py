"""How Sphinx builds the documents into pages. They stay where they are, written for GitHub."""

import os
import re
from pathlib import Path

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import download_reference, pending_xref
from sphinx.search.en import SearchEnglish

ROOT = Path(__file__).resolve().parents[2]
# Where the files that are no pages can be read, such as https://github.com/OWNER/REPOSITORY/blob/main. Without it, a
# link to a file downloads it from the site, and a folder's name is no link.
FILES_URL = os.environ.get("FILES_URL", "").rstrip("/")

project = html_title = "wisheasy"
extensions = ["myst_parser"]
myst_heading_anchors = 4
root_doc = "README"
folders = ["docs", "kit", "nginx", "docker", "deploy", "workshop/bench/results"]
include_patterns = ["*.md", "workshop/README.md", "workshop/shop/README.md", *(f"{folder}/**.md" for folder in folders)]
exclude_patterns = [".venv", "var"]

html_theme = "furo"
html_favicon = "../../wisheasy/static/wisheasy/favicon.svg"
html_static_path = ["static", "../../var/docs/node_modules/@mermaid-js/tiny/dist"]
html_css_files = ["site.css"]
html_js_files = ["diagrams.js"]
html_copy_source = html_show_copyright = False
html_search_language = "korean"

NAVIGATION = {
    "Start": "docs/applications docs/choosing-a-mode",
    "Deploy": "docs/first-deploy deploy/ci deploy/port-only deploy/load-balancer deploy/managed-postgresql "
    "deploy/two-hosts deploy/sizing deploy/swarm/README deploy/kubernetes/README",
    "Operate": "docs/operations docs/security docs/recipes/metrics nginx/site.d/README docker/hooks/README",
    "Extend": "docs/product docs/extend docs/recipes/celery docs/recipes/another-framework",
    "Upgrade": "docs/upgrading CHANGELOG",
    "How it works": "docs/architecture kit/decisions kit/README",
    "The template": "workshop/README workshop/bench/results/README workshop/bench/results/topics workshop/shop/README",
    "한국어": "README.ko docs/choosing-a-mode.ko docs/first-deploy.ko",
}


class SearchBoth(SearchEnglish):
    """English, and Korean, whose words end in particles: 배포 finds 배포합니다."""

    lang = "korean"

    def split(self, text):
        words = super().split(text)
        return words + [word[:end] for word in words if re.match("[가-힣]", word) for end in range(2, len(word))]


def add_navigation(app, name, source):
    if name == root_doc:
        for caption, pages in NAVIGATION.items():
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + pages.replace(" ", "\n") + "\n```\n"


def link_files(app, document):
    """Before Sphinx collects what it offers as downloads, and looks for pages."""
    folder = Path(app.env.doc2path(app.env.docname)).parent
    for node in [*document.findall(download_reference), *document.findall(pending_xref)]:
        path = (folder / node["reftarget"]).resolve()
        if not node["refdomain"] and (path.is_dir() or (path.is_file() and FILES_URL)):
            link = nodes.reference("", "", *node.children, refuri=f"{FILES_URL}/{path.relative_to(ROOT)}")
            node.replace_self(link if FILES_URL else node.children)


def name_language(app, name, template, context, document):
    if name.endswith(".ko"):
        context["language"] = "ko"


def setup(app):
    app.add_search_language(SearchBoth)
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", add_navigation)
    app.connect("doctree-read", link_files, priority=400)
    app.connect("html-page-context", name_language)
