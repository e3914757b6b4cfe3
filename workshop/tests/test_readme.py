import re

from workshop.tests.servers import ROOT

README = (ROOT / "README.md").read_text()


def targets():
    text = "".join(path.read_text() for path in [ROOT / "Makefile", *ROOT.glob("*.mk")])
    return " ".join(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)).split()


def test_every_command_of_the_makefile_is_in_the_table():
    table = README.split("## Commands")[1].split("##")[0]
    missing = [target for target in targets() if target != "help" and f"make {target}" not in table]
    assert missing == []


def test_every_command_of_the_readme_is_in_the_makefile():
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", README)) <= set(targets())


def test_every_variable_of_the_table_is_in_the_manual():
    table = README.split("## Variables")[1].split("##")[0]
    manual = (ROOT / ".env.example").read_text()
    assert [name for name in re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE) if f"{name}=" not in manual] == []
