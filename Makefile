# The developer's door. `make help` lists what is here; the work is done by scripts/ and can be run from there too.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

##@ Lab
lab: ## Start five containers and provision them with playbooks/site.yml
	@scripts/lab.sh up
verify-lab: ## Prove the lab: log, register, alias, load and remove a tiny model
	@scripts/lab.sh play playbooks/verify.yml
lab-shell: ## A shell on a lab host: make lab-shell HOST=registry1
	@scripts/lab.sh shell "$(HOST)"
lab-down: ## Remove the lab's containers, network, secrets and report
	@scripts/lab.sh down

##@ Tests
test: ## The tests, as CI runs them; ends with `N passed, N failed` (MLOPS_ALL=1: those too that wait for their turn)
	@scripts/test.sh unit lint roles vm lab
test-unit: ## Python: facts, sizing, filters, set-up scripts (seconds)
	@scripts/test.sh unit
lint: ## ansible-lint, ansible-test sanity, yamllint, ruff, mypy, shellcheck, docs
	@scripts/test.sh lint
test-roles: ## molecule, two scenarios at a time, and mutations (ROLE=common for one role)
	@ROLE="$(ROLE)" scripts/test.sh roles
test-vm: ## Virtual machines: real disks, RAID, LVM, NFS, reboot, power cut (VM=machine for one file)
	@VM="$(VM)" scripts/test.sh vm
test-lab: ## The lab end to end: twice, verify, faults, bad input
	@scripts/test.sh lab

##@ Assessing
snapshot: ## Save what is read of your hosts: make snapshot INVENTORY=/path TO=/path (nothing is changed on them)
	@scripts/snapshot.sh "$(INVENTORY)" "$(TO)"

##@ Working with the registry
client-env: ## What one person needs: make client-env INVENTORY=/path NAME=alice [TO=/path] (see docs/client.md)
	@scripts/client_env.sh "$(INVENTORY)" "$(NAME)" "$(TO)"

##@ Measuring and releasing
bench: ## Measure and write docs/performance.md
	@scripts/bench.sh
sizing-accuracy: ## Write docs/sizing-accuracy.md: sizing against published figures
	@scripts/sizing_accuracy.sh
gpu-page: ## Write docs/gpu.md: which driver for which GPU, system and source
	@scripts/gpu_page.sh
requirements: ## Compile requirements/*.in to hashed locks, without any index in them
	@scripts/requirements.sh
clean: ## Remove what was built in this checkout (not the cache, not the lab)
	@rm -rf .build/molecule .build/junit .build/sanity .build/venv .build/mutations .build/vm

##@ Set-up (the targets above do it when needed)
setup: ## Tools, container engine, QEMU and images
	@scripts/setup.sh lint roles vm

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: lab verify-lab lab-shell lab-down test test-unit lint test-roles test-vm test-lab snapshot client-env bench sizing-accuracy gpu-page requirements clean setup help
