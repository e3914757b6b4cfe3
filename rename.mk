# `make rename` removes this file.
rename: ## Make this clone yours: make rename NAME=shop (KEEP=wishes, CI=github or gitlab, LANGUAGES=en,ko)
	@bin/venv requirements-dev.txt
	@CI="$(call given,CI)" $(PYTHON) workshop/rename "$(call given,NAME)"
.PHONY: rename
