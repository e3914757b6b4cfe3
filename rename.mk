# `make rename` removes this file.
rename: ## Make this clone yours: make rename NAME=shop (KEEP=wishes, CI=github or gitlab, LANGUAGES=en,ko)
	@bin/venv
	@CI="$(call given,CI)" $(PYTHON) -P workshop/rename.py "$(call given,NAME)"
.PHONY: rename
