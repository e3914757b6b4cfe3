"""The settings in different environments, each in its own process, and what they must not be."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command

# Prints the settings named by its arguments as JSON.
SHOW = """
import json, sys
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}))
"""
HTTPS = {"SITE_URL": "https://www.example.com,https://example.com"}


def run(*names, **variables):
    command = [sys.executable, "-c", SHOW, *names]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False)


def show(*names, **variables):
    result = run(*names, **variables)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_every_fault_of_the_environment_is_one_sentence_and_all_are_told_at_once():
    wrong = {
        "SERVER_MODE": "fast",
        "DEBUG": "perhaps",
        "PORT": "70000",
        "SITE_URL": "www.example.com",
        "DATABASE_URL": "postgres",
        "WEB_CONCURRENCY": "0",
        "TRUSTED_PROXIES": "somewhere",
    }
    result = run("DEBUG", **wrong)
    assert result.returncode == 1
    sentences = result.stderr.splitlines()
    assert sorted(re.split("[= ]", sentence)[0] for sentence in sentences) == sorted(wrong)
    assert all("expected" in sentence for sentence in sentences)


@pytest.mark.parametrize("value", ["", "too short to be a key", "a" * 64], ids=["missing", "short", "not random"])
def test_without_a_good_secret_key_nothing_starts_and_a_bad_one_is_not_shown(value, tmp_path):
    (tmp_path / "key").write_text(value)
    result = run("SECRET_KEY", SECRET_KEY="", SECRET_KEY_FILE=str(tmp_path / "key"))
    assert result.returncode == 1
    assert result.stderr.startswith("SECRET_KEY is ")
    assert len(result.stderr.splitlines()) == 1
    assert not value or value not in result.stderr


def test_on_an_https_address_cookies_are_for_https_alone_and_scripts_cannot_read_the_session():
    names = [f"SESSION_COOKIE_{flag}" for flag in ("SECURE", "HTTPONLY", "SAMESITE")]
    shown = show(*names, "CSRF_COOKIE_SECURE", "CSRF_COOKIE_SAMESITE", **HTTPS)
    assert shown["SESSION_COOKIE_SECURE"]
    assert shown["CSRF_COOKIE_SECURE"]
    assert shown["SESSION_COOKIE_HTTPONLY"]
    assert shown["SESSION_COOKIE_SAMESITE"] in ("Lax", "Strict")
    assert shown["CSRF_COOKIE_SAMESITE"] in ("Lax", "Strict")


def test_an_https_site_takes_its_own_names_alone_and_sends_visitors_to_https():
    shown = show("ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", **HTTPS)
    assert {"www.example.com", "example.com"} <= set(shown["ALLOWED_HOSTS"])
    assert not [host for host in shown["ALLOWED_HOSTS"] if "*" in host]
    assert not [origin for origin in shown["CSRF_TRUSTED_ORIGINS"] if not origin.startswith("https://")]
    assert shown["SECURE_SSL_REDIRECT"]
    assert shown["SECURE_HSTS_SECONDS"] > 0


def test_debug_is_off_unless_it_is_asked_for():
    assert show("DEBUG") == {"DEBUG": False}


def test_passwords_are_validated():
    assert settings.AUTH_PASSWORD_VALIDATORS


@pytest.mark.django_db
def test_no_migration_is_missing(capsys):
    ours = [
        config.label
        for config in apps.get_app_configs()
        if Path(config.path).is_relative_to(settings.BASE_DIR) and "site-packages" not in Path(config.path).parts
    ]
    try:
        call_command("makemigrations", *ours, check=True, dry_run=True)
    except SystemExit:
        pytest.fail(f"run python manage.py makemigrations:\n{capsys.readouterr().out}")
