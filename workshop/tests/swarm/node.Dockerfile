# A machine of the swarm, and the registry beside it: Debian with its engine.
ARG BASE=python:3.13-slim
FROM ${BASE}
# The lab lives for an hour: whatever Debian has today.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends docker.io docker-registry iptables iproute2 procps \
    && rm -rf /var/lib/apt/lists/*
