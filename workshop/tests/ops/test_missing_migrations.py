"""A model of the project's own that has changed without a migration is found; one of a package is not its owner's."""

import pytest
from django.core.management import call_command

from kit.ops.management.commands.check_migrations import own_applications


@pytest.fixture
def without_migrations(tmp_path, monkeypatch, settings):
    def without(label):
        (tmp_path / "empty_migrations").mkdir()
        (tmp_path / "empty_migrations/__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        settings.MIGRATION_MODULES = {label: "empty_migrations"}

    return without


def test_applications_of_packages_are_not_the_projects_own():
    own = set(own_applications())
    assert {"accounts", "live", "ops"} <= own
    assert own & {"account", "admin", "auth"} == set()


@pytest.mark.django_db
def test_a_migration_that_is_missing_is_found(without_migrations, capsys):
    without_migrations("live")
    with pytest.raises(SystemExit):
        call_command("check_migrations", missing=True)
    assert "Create model Change" in capsys.readouterr().out


@pytest.mark.django_db
def test_one_that_a_package_lacks_is_not(without_migrations):
    without_migrations("account")
    call_command("check_migrations", missing=True)
