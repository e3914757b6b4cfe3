# `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON := .venv/bin/python

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-30s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Without Docker

run-wsgi: ## Serve with Gunicorn (WSGI) on PORT (8000): no Docker, no services
	@bin/serve wsgi

run-asgi: ## Serve with Gunicorn and a Uvicorn worker (ASGI): no Docker, no services
	@bin/serve asgi

dev: ## Serve with reload and DEBUG, in SERVER_MODE (asgi)
	@DEBUG=1 bin/serve $${SERVER_MODE:-asgi}

test: ## Run every test that needs no Docker
	@bin/venv
	@$(PYTHON) -m pytest $(ARGS)

lint: ## Check style, scripts, and that no migration is missing
	@bin/venv
	@bin/lint

format: ## Put the code into the project's style
	@bin/venv
	@.venv/bin/ruff check --quiet --fix-only . && .venv/bin/ruff format .

bench: ## Measure this project in every way of serving it: make bench ONLY=asgi,query FULL=1
	@bin/venv
	@$(PYTHON) -m bench

lock: ## Pin the newest versions that pyproject.toml allows, with hashes
	@bin/venv
	@bin/lock

check: lint test e2e ## Do what CI does

# With Docker

up-wsgi up-asgi up-hybrid: ## Start the stack in that mode, or switch the running one to it
	@docker/release $(@:up-%=%)

release: ## Bring this checkout, or the image TAG=… of IMAGE, into service, losing no request
	@docker/release

rollback: ## Bring back what served before
	@docker/rollback

down: ## Stop the stack; the data stays
	@docker/preflight && docker compose --profile '*' down

logs: ## Follow the logs of the stack
	@docker/preflight && docker compose logs --follow --tail 100

ps: ## Show what serves, what a rollback leads to, and the containers
	@docker/ps

shell: ## Open a Python shell in the stack
	@docker/preflight && docker compose exec web-$$(docker/setting SLOT) python manage.py shell

manage: ## Run a management command in the stack: make manage CMD="createsuperuser"
	@docker/preflight && docker compose exec web-$$(docker/setting SLOT) python manage.py $(CMD)

backup: ## Make a backup of the database now
	@docker/preflight && docker compose --progress quiet run --rm --no-deps -T backup now

backups: ## List the backups
	@docker/preflight && docker compose --progress quiet run --rm --no-deps -T backup list

restore: ## Put a backup in the place of the database: make restore FILE=NAME, or the path of a file
	@docker/restore "$(FILE)"

e2e: ## Test the stack in every mode, with a real browser
	@docker/preflight
	@bin/venv
	@$(PYTHON) -m pytest tests/stack $(ARGS)

.PHONY: help run-wsgi run-asgi dev test lint format bench lock check up-wsgi up-asgi up-hybrid release rollback down logs ps shell manage backup backups restore e2e
