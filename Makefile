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

dev: ## Serve with DEBUG, in SERVER_MODE (asgi): what is edited is seen at once
	@DEBUG=1 bin/serve $${SERVER_MODE:-asgi}

test: ## Run every test that needs no Docker
	@bin/venv
	@$(PYTHON) -m pytest $(ARGS)

lint: ## Check style, scripts, Dockerfile, settings, the configuration of Nginx, and that no migration is missing
	@bin/venv
	@bin/lint

format: ## Put the code into the project's style
	@bin/venv
	@.venv/bin/ruff check --quiet --fix-only . && .venv/bin/ruff format .

# only with lab
bench: ## Measure this project in every way of serving it: make bench ONLY=asgi,query FULL=1
	@bin/venv
	@$(PYTHON) -m bench
.PHONY: bench
# end of lab

# A NAME of the shell is none that somebody has chosen: on Windows it is the machine's.
app: ## Add an application of your own, with a page that is live: make app NAME=orders
	@bin/add_app "$(if $(filter command,$(origin NAME)),$(NAME))" "$(ONE)"

lock: ## Pin what pyproject.toml asks for, with hashes; versions that still fit stay
	@bin/venv
	@$(PYTHON) bin/lock.py

upgrade: ## Pin the newest versions that pyproject.toml allows, and say what has changed (WAIT=7 days old)
	@bin/venv
	@$(PYTHON) bin/lock.py --upgrade

outdated: ## Say what newer versions there are, also outside of pyproject.toml's bounds
	@bin/venv
	@$(PYTHON) bin/lock.py --outdated

template-diff: ## Show what the template has changed since this clone, to take it over: FROM=ADDRESS, or a remote template
	@bin/venv
	@$(PYTHON) bin/template_diff.py

check: lint test e2e ## Do what CI does

# A NAME of the shell is none that somebody has chosen: on Windows it is the machine's.
rename: ## Give the project another name: make rename NAME=…
	@bin/venv
	@$(PYTHON) bin/rename.py "$(if $(filter command,$(origin NAME)),$(NAME))"

# With Docker

up-wsgi up-asgi up-hybrid: ## Start the stack in that mode, or switch the running one to it
	@docker/release $(@:up-%=%)

dev-docker: ## Serve the stack with DEBUG, in SERVER_MODE, with the files of this checkout: on PORT (8000), with data of its own
	@docker/dev

release: ## Bring this checkout, or the image TAG=… of IMAGE, into service, losing no request
	@docker/release

rollback: ## Bring back what served before
	@docker/rollback

publish: ## Build the image for amd64 and arm64 and push it as IMAGE, by its digest alone: what CI does
	@docker/publish

deploy: ## Release an image on a host that has only Docker, by SSH: what CI does (docker/deploy says with which variables)
	@docker/deploy

down: ## Stop the stack; the data stays
	@docker/preflight && docker compose --profile '*' down

doctor: ## Name what is wrong with this machine, this .env or the running stack, and what mends it (JSON=1)
	@docker/doctor $(if $(JSON),--json)

logs: ## Follow the logs of the stack
	@docker/preflight && docker compose logs --follow --tail 100

ps: ## Show what serves, what a rollback leads to, and the containers
	@docker/ps

shell: ## Open a Python shell in the stack
	@docker/preflight && docker compose exec web-$$(docker/read_env SLOT) python manage.py shell

manage: ## Run a management command in the stack: make manage CMD="createsuperuser"
	@docker/preflight && docker compose exec web-$$(docker/read_env SLOT) python manage.py $(CMD)

psql: ## Open psql in the database that the stack uses
	@docker/preflight secrets && docker compose --progress quiet run --rm --no-deps backup console

redis-cli: ## Open redis-cli in the Redis of the stack, as the user that the servers are
	@docker/preflight secrets && docker compose exec redis redis cli

backup: ## Make a backup of the database now
	@docker/preflight secrets && docker compose --progress quiet run --rm --no-deps -T backup now

backups: ## List the backups
	@docker/preflight secrets && docker compose --progress quiet run --rm --no-deps -T backup list

restore: ## Put a backup in the place of the database: make restore FILE=NAME, or the path of a file
	@docker/restore "$(FILE)"

e2e: ## Test the stack in every mode, with a real browser
	@docker/preflight
	@bin/venv
	@$(PYTHON) -m pytest tests/stack $(ARGS)

.PHONY: help run-wsgi run-asgi dev test lint format app lock upgrade outdated template-diff check rename up-wsgi up-asgi up-hybrid dev-docker release rollback publish deploy down doctor logs ps shell manage psql redis-cli backup backups restore e2e
