"""What the documents show as code of a shop is in its patches, which run (stack/test_shop.py)."""

import re

import pytest

from workshop.tests.servers import ROOT


@pytest.mark.parametrize(("name", "heading"), [("product", "API"), ("extend", "A WebSocket and its script")])
def test_the_code_of_a_document_is_in_the_patches(name, heading):
    section = (ROOT / f"docs/{name}.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    code = "".join(re.findall(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)).splitlines()
    patches = "".join(path.read_text() for path in ROOT.glob("workshop/shop/*.patch"))
    run = {line.strip() for line in re.findall(r"^[+ ](.*)$", patches, re.MULTILINE)}
    assert len(code) > 10
    assert [line for line in code if line.strip() not in run | {""}] == []


def test_each_method_of_the_api_that_the_page_makes_a_transaction_is_one():
    (advice,) = re.findall(r"Put `@transaction\.atomic` on ([^.:]+), so\s", (ROOT / "docs/product.md").read_text())
    methods = re.findall(r"`(\w+)`", advice)
    api = (ROOT / "workshop/shop/03-api.patch").read_text()
    assert methods == re.findall(r"^\+    @transaction\.atomic\n\+    def (perform_\w+)\(self, ", api, re.MULTILINE)
