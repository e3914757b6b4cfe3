# `make` alone lists the commands.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
# Takes arguments from the command line only: the environment's NAME may be something else, such as the machine's name.
given = $(if $(filter command,$(origin $(1))),$($(1)))
# Some ZIP programs drop the execute permission of scripts.
$(shell [ -x docker/release ] || grep -rl '^#!' bin docker deploy manage.py 2>/dev/null | xargs chmod +x)
# If the stack doesn't run on Compose (ENGINE in .env), another script handles these commands.
on_engine := up-wsgi up-asgi up-hybrid ps logs doctor shell manage down release rollback backup backups restore psql redis-cli
engine := $(if $(filter $(on_engine),$(MAKECMDGOALS)),$(filter swarm kubernetes,$(or $(ENGINE),$(shell docker/read_env ENGINE))))

help: ## List these commands
	@awk '/^##@/ { print "\n" substr($$0, 5) } /^[a-z0-9 -]+:.*## / { split($$0, part, ":.*## "); printf "  make %-26s %s\n", part[1], part[2] }' $(MAKEFILE_LIST)

##@ Start here (no Docker, no services)

run-wsgi: ## Serve with Gunicorn (WSGI) on PORT (8000)
	@bin/serve wsgi

run-asgi: ## Serve with Gunicorn and a Uvicorn worker (ASGI) on PORT (8000)
	@bin/serve asgi

dev: ## The same with DEBUG, in SERVER_MODE (asgi); edited files are reloaded
	@DEBUG=1 bin/serve $${SERVER_MODE:-asgi}

worker: ## Run jobs beside a server that was started with WORKER_PROCESSES=0
	@sh bin/prepare
	@$(PYTHON) manage.py ox_worker --concurrency $${WORKER_THREADS:-4}

app: ## Add an application, live and private to each member: make app NAME=orders (PUBLIC=1: for everyone)
	@bin/venv requirements-dev.txt
	@$(PYTHON) -m kit.add_app "$(call given,NAME)" "$(call given,PUBLIC)"

test: ## Run the tests that need no Docker
	@bin/venv requirements-dev.txt
	@$(PYTHON) -m pytest $(ARGS)

lint: ## Check style, scripts, Dockerfile, settings, migrations, Compose and the configuration of Nginx
	@bin/venv requirements-dev.txt
	@bin/lint

format: ## Format the code
	@bin/venv requirements-dev.txt
	@.venv/bin/ruff check --quiet --fix-only . && .venv/bin/ruff format .

e2e: ## Test the stack on Docker: start, page, files, WebSocket, release, rollback, backup, restore
	@docker/preflight engine
	@bin/venv requirements-dev.txt
	@$(PYTHON) -m pytest tests/stack $(ARGS)

check: lint test e2e ## Run everything that CI runs

##@ Stack (Docker)

dev-docker: ## Serve the stack with DEBUG, the files of this checkout and data of its own, on PORT (8000)
	@docker/dev

ifneq ($(engine),)
$(on_engine):
	@deploy/$(engine)/stack $@
else
up-wsgi up-asgi up-hybrid: ## Start the stack in that mode, or switch the running one to it
	@docker/release $(@:up-%=%)

ps: ## Show the active version, the one before, and the containers
	@docker/ps

logs: ## Follow the logs of the stack
	@docker/preflight && docker compose logs --follow --tail 100

doctor: ## Report problems of this machine, .env or the running stack, with their fixes (JSON=1)
	@docker/doctor $(if $(JSON),--json)

shell: ## Open a Python shell in the stack
	@docker/preflight && docker compose exec web-$$(docker/read_env SLOT) python manage.py shell

manage: ## Run a management command in the stack: make manage CMD="createsuperuser"
	@docker/preflight && docker compose exec web-$$(docker/read_env SLOT) python manage.py $(CMD)

down: ## Stop the stack; the data stays
	@docker/preflight && docker compose --profile '*' down

##@ Release

release: ## Release this checkout, or the image TAG=… of IMAGE, without losing a request
	@docker/release

rollback: ## Go back to the version before
	@docker/rollback
endif

publish: ## Build the image for PLATFORMS and push it to IMAGE by digest, as CI does
	@docker/publish

deploy: ## Release an image on a host over SSH, as CI does (docker/deploy lists the variables)
	@docker/deploy

##@ Data

ifeq ($(engine),)
backup: ## Back up the database now
	@docker/preflight secrets && docker compose --progress quiet run --rm --no-deps -T backup now && echo "It holds the database. Visitors' files are in the volume media, which only offsite copies."

backups: ## List the backups
	@docker/preflight secrets && docker compose --progress quiet run --rm --no-deps -T backup list

restore: ## Replace the database by a backup: make restore FILE=NAME, or the path of a file
	@docker/restore "$(FILE)"

psql: ## Open psql in the stack's database
	@docker/preflight secrets && docker compose --progress quiet run --rm --no-deps backup console

redis-cli: ## Open redis-cli in the stack's Redis, as the servers' user
	@docker/preflight secrets && docker compose exec redis redis cli
endif

##@ Upkeep

lock: ## Pin the requirements of pyproject.toml, with hashes; versions that still fit stay
	@bin/venv requirements-dev.txt
	@$(PYTHON) bin/lock

upgrade: ## Pin the newest versions that pyproject.toml allows (WAIT=7 days old)
	@bin/venv requirements-dev.txt
	@$(PYTHON) bin/lock --upgrade

outdated: ## List newer versions, and what holds some of them back
	@bin/venv requirements-dev.txt
	@$(PYTHON) bin/lock --outdated

update: ## Merge the template's newer versions of its own files: FROM=ADDRESS, or the remote template
	@bin/venv
	@$(PYTHON) bin/update

.PHONY: help run-wsgi run-asgi dev worker app test lint format e2e check up-wsgi up-asgi up-hybrid dev-docker ps logs doctor shell manage down release rollback publish deploy backup backups restore psql redis-cli lock upgrade outdated update

# Put your own targets into a file here that ends in .mk: `make update` leaves it alone.
-include *.mk
